"""Strategies: ReAct with native and written calls, chain of thought, single shot; their bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom import CognitiveConfig, CognitiveResult, ThinkingStrategy, ThoughtStep
from loom.contracts import (
    BudgetExceeded,
    Message,
    ModelError,
    ThinkingDelta,
    ToolCall,
    ToolError,
    ToolUse,
)
from loom_kernel.testing import wait_until

from sdk.python.tests.cognition.scripted import ScriptedMind, Stage, call, say, use

pytestmark = pytest.mark.anyio


@pytest.mark.feature("COG-01")
@pytest.mark.feature("TOOL-08")
async def test_a_goal_that_needs_two_tools(stage: Stage) -> None:
    async def weather(call: ToolCall) -> Any:
        return {"temperature": 21}

    await stage.offer("weather:get", weather)
    await stage.offer("fs:write_file")
    mind = ScriptedMind(
        call(use("weather:get", location="Tokyo"), text="I need the weather."),
        call(use("fs:write_file", path="w.md", content="21 degrees")),
        say("It is 21 degrees; I noted it."),
    )
    thinker = stage.thinker(mind, tools=["weather:get", "fs:write_file"])
    result = await thinker.run("Note the weather of Tokyo")
    assert (result.success, result.finish, result.iterations) == (True, "answer", 3)
    assert result.answer == "It is 21 degrees; I noted it."
    assert [call.name for call in stage.ran] == ["weather:get", "fs:write_file"]
    first, second = result.steps
    assert first.thought == "I need the weather."
    assert first.tool_call is not None
    assert first.tool_call.arguments == {"location": "Tokyo"}
    assert "21" in first.observation
    assert second.observation.startswith("wrote w.md: 1 lines")
    assert result.usage.input_tokens == 30
    told = [message for message in mind.heard if message.role == "tool"]
    assert [message.call_id for message in told] == ["id-weather:get", "id-fs:write_file"]
    assert "temperature: 21" in told[0].content
    assert {tool.name for tool in mind.requests[0].tools} == {"fs:write_file", "weather:get"}
    stats = thinker.stats
    assert (stats.total_invocations, stats.total_tool_calls, stats.total_tool_errors) == (1, 2, 0)
    assert stats.avg_latency_ms >= stats.avg_tool_latency_ms > 0
    assert len(stage.events.on("tool.call.completed")) == 2


@pytest.mark.feature("TOOL-08")
async def test_calls_of_a_step_run_side_by_side_under_a_limit(stage: Stage) -> None:
    running = most = 0
    gate = asyncio.Event()

    async def slow(call: ToolCall) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            gate.set()
        await gate.wait()
        await asyncio.sleep(0)
        running -= 1
        return call.arguments["n"]

    await stage.offer("slow:work", slow)
    uses = [use("slow:work", f"c{n}", n=n) for n in range(5)]
    mind = ScriptedMind(call(*uses), say("done"))
    result = await stage.thinker(mind, tools=["slow:work"], max_tools_per_step=2).run("go")
    assert most == 2
    assert [action.output for action in result.steps[0].actions] == list("01234")
    assert [m.call_id for m in mind.heard if m.role == "tool"] == [f"c{n}" for n in range(5)]


@pytest.mark.feature("COG-01")
@pytest.mark.parametrize(
    "written",
    [
        'I look.\n{"tool": "fs:read_file", "args": {"path": "a.md"}}',
        '```json\n{"action": "fs:read_file", "arguments": {"path": "a.md"}}\n```',
        '{"name": "fs__read_file", "input": {"path": "a.md"}}\nObservation: it says nothing',
        'Thought: hm\nAction: fs:read_file\nAction Input: {"path": "a.md"}\nObservation: made up',
        'Action: fs:read_file({"path": "a.md"})',
        'fs.read_file(path="a.md")',
        '{"function": {"name": "fs:read_file", "arguments": "{\\"path\\": \\"a.md\\"}"}}',
        '{"tool": "fs:read_file", "args": {"path": "a.md"}}\nFINAL ANSWER: made up',
    ],
)
async def test_calls_that_are_written(stage: Stage, written: str) -> None:
    await stage.offer("fs:read_file")
    mind = ScriptedMind(say(written), say("I know.\nFINAL ANSWER: a thing\nObservation: more"))
    result = await stage.thinker(mind, tools=["fs:read_file"], tool_form="text").run("What?")
    assert result.answer == "a thing"
    (ran,) = stage.ran
    assert (ran.name, ran.arguments) == ("fs:read_file", {"path": "a.md"})
    assert not mind.requests[0].tools
    assert "- fs:read_file: The tool fs:read_file" in mind.prompt(0)
    assert "made up" not in mind.prompt()
    assert "says nothing" not in mind.prompt()


@pytest.mark.feature("COG-01")
async def test_a_native_model_that_writes_its_call_as_text(stage: Stage) -> None:
    await stage.offer("fs:read_file")
    mind = ScriptedMind(say('{"name": "fs:read_file", "arguments": {"path": "a"}}'), say("it is a"))
    result = await stage.thinker(mind).run("What?")
    assert (result.answer, stage.names) == ("it is a", ["fs:read_file"])
    assert mind.heard[-2].calls[0].id == mind.heard[-1].call_id == "call_1_0"


@pytest.mark.feature("COG-02")
async def test_a_chain_of_thought_and_a_single_shot(stage: Stage) -> None:
    await stage.offer("fs:read_file")
    for strategy, thought in (("cot", "2 and 2."), ("single_shot", "")):
        said = f"{thought}\nFINAL ANSWER: 4" if thought else "4"
        mind = ScriptedMind(say(said))
        thinker = stage.thinker(mind, thinking_strategy=ThinkingStrategy(strategy))
        parts = [part async for part in thinker.run_stream("2 + 2?")]
        result = parts[-1]
        assert isinstance(result, CognitiveResult)
        assert (result.answer, result.success) == ("4", True)
        assert [step.thought for step in result.steps] == ([thought] if thought else [])
        assert "".join(part for part in parts if isinstance(part, str)) == "4"
        told = "".join(part.text for part in parts if isinstance(part, ThinkingDelta))
        assert told.strip() == thought
        assert not mind.requests[0].tools
        assert ("step by step" in mind.prompt()) is bool(thought)


@pytest.mark.feature("COG-02")
async def test_a_stream_tells_text_reasoning_and_steps_before_the_result(stage: Stage) -> None:
    await stage.offer("fs:read_file")
    mind = ScriptedMind(
        call(use("fs:read_file", path="a"), text="Let me look."),
        say("The answer is long enough for chunks.", thinking="hm, so"),
    )
    parts = [part async for part in stage.thinker(mind).run_stream("What?")]
    kinds = [type(part).__name__ for part in parts]
    assert kinds[-1] == "CognitiveResult"
    assert kinds.count("str") > 4
    assert kinds.index("ThoughtStep") < kinds.index("ThinkingDelta")
    text = "".join(part for part in parts if isinstance(part, str))
    assert text == "Let me look.The answer is long enough for chunks."
    assert mind.is_open == 0


@pytest.mark.feature("COG-02")
async def test_a_written_call_is_not_told_as_text(stage: Stage) -> None:
    await stage.offer("fs:read_file")
    mind = ScriptedMind(
        say('{"tool": "fs:read_file", "args": {}}'), say("So.\nFINAL ANSWER: it is a"), pieces=3
    )
    parts = [part async for part in stage.thinker(mind, tool_form="text").run_stream("What?")]
    assert "".join(part for part in parts if isinstance(part, str)) == "it is a"
    assert [type(part) for part in parts if not isinstance(part, str)] == [
        ThoughtStep,
        CognitiveResult,
    ]


@pytest.mark.feature("COG-03")
async def test_a_second_question_refers_to_the_first(stage: Stage) -> None:
    def answer(request: Any) -> Any:
        said = [(message.role, message.content) for message in request.messages]
        assert ("user", "My name is Ada.") in said
        assert ("assistant", "Hello Ada.") in said
        return say("You are Ada.")

    thinker = stage.thinker(ScriptedMind(say("Hello Ada."), answer), tools=[])
    await thinker.run("My name is Ada.")
    assert (await thinker.run("Who am I?")).answer == "You are Ada."
    assert [entry.content for entry in thinker.memory.get_recent(2)] == [
        "Who am I?",
        "You are Ada.",
    ]
    assert thinker.memory.get_context(1) == "assistant: You are Ada."
    assert thinker.memory.to_messages()[0] == Message("user", "My name is Ada.")
    thinker.memory.clear()
    assert not thinker.memory.get_recent(10)
    with pytest.raises(ValueError, match="a memory is of system, user, assistant"):
        thinker.memory.add("tool", "x")  # type: ignore[arg-type]  # what is tested


@pytest.mark.feature("COG-01")
async def test_an_answer_is_held_against_the_goal_if_wanted(stage: Stage) -> None:
    await stage.offer("fs:read_file")
    mind = ScriptedMind(say("a guess"), call(use("fs:read_file", path="a")), say("what it says"))
    result = await stage.thinker(mind, stop_on_final_answer=False).run("What?")
    assert (result.answer, result.iterations, stage.names) == ("what it says", 3, ["fs:read_file"])


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.feature("COG-01")
async def test_what_went_wrong_is_told_and_the_model_recovers(stage: Stage) -> None:
    async def fails(call: ToolCall) -> Any:
        raise ToolError("fs:read_file", "ACTION_ERROR", "no such file", {"near": "b.md"})

    await stage.offer("fs:read_file", fails)
    await stage.offer("fs:secret")
    strict = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    await stage.offer("math:double", parameters=strict)
    broken = ToolUse("c2", "math:double", {}, problem="it ends in the middle", written='{"n": 1')
    mind = ScriptedMind(
        call(use("fs:read_file", path="a.md"), use("nothing:here"), broken, use("fs:secret")),
        call(use("math:double", n="three")),
        say("I could not."),
    )
    tools = ["fs:read_file", "math:double"]
    result = await stage.thinker(mind, tools=tools).run("Try")
    assert result.success
    errors = [action.error for action in result.steps[0].actions]
    assert errors == ["ACTION_ERROR", "CAPABILITY_ERROR", "INVALID_PARAMS", "CAPABILITY_ERROR"]
    told = mind.prompt()
    for words in ("no such file", "near: b.md", "there is no tool 'nothing:here'", "in the middle"):
        assert words in told
    assert result.steps[1].actions[0].error == "INVALID_PARAMS"
    assert stage.names == ["fs:read_file"]
    assert all(message.is_error for message in mind.requests[1].messages if message.role == "tool")


@pytest.mark.feature("COG-01")
async def test_iterations_used_up_end_with_an_answer_without_tools(stage: Stage) -> None:
    await stage.offer("fs:list_dir")
    loops = [call(use("fs:list_dir", f"c{n}")) for n in range(4)]
    mind = ScriptedMind(*loops, say("That is all I know."))
    result = await stage.thinker(mind, max_iterations=4).run("Count")
    assert (result.success, result.finish) == (True, "exhausted")
    assert (result.answer, result.iterations, len(stage.ran)) == ("That is all I know.", 5, 4)
    assert mind.requests[-1].tool_choice == "none"
    assert "No more tools" in mind.heard[-1].content


@pytest.mark.feature("COG-01")
async def test_a_model_that_only_errs_fails_with_a_reason(stage: Stage) -> None:
    mind = ScriptedMind(call(use("no:tool")), repeats=True)
    result = await stage.thinker(mind, max_iterations=100).run("Try")
    assert not result.success
    assert result.error is not None
    assert result.error.code == "BAD_TURNS"
    assert "there is no tool" in str(result.error) or "CAPABILITY_ERROR" in str(result.error)
    assert (result.iterations, len(result.steps)) == (3, 3)
    silent = await stage.thinker(ScriptedMind(say(""), repeats=True)).run("Speak")
    assert silent.error is not None
    assert (silent.error.code, silent.iterations) == ("BAD_TURNS", 3)


@pytest.mark.feature("COG-01")
async def test_a_models_own_error_keeps_the_steps(stage: Stage) -> None:
    await stage.offer("fs:list_dir")
    cut = ModelError("scripted", "MODEL_INTERRUPTED", "the stream broke off", partial="It is")
    mind = ScriptedMind(call(use("fs:list_dir")), cut)
    result = await stage.thinker(mind).run("Count")
    assert (result.success, result.answer, len(result.steps)) == (False, "It is", 1)
    assert str(result.error) == "MODEL_INTERRUPTED: the stream broke off"
    spent = await stage.thinker(ScriptedMind(BudgetExceeded("tokens", 9, 1, "t"))).run("Count")
    assert spent.error is not None
    assert spent.error.code == "BUDGET_EXCEEDED"


async def test_a_stream_without_a_reply_is_an_error(stage: Stage) -> None:
    mind = ScriptedMind(say("half of"))
    mind.drops_reply = True
    *parts, result = [part async for part in stage.thinker(mind).run_stream("What?")]
    assert isinstance(result, CognitiveResult)
    assert "".join(part for part in parts if isinstance(part, str)) == "half of"
    assert result.error is not None
    assert (result.error.code, result.answer) == ("MODEL_INTERRUPTED", "half of")


async def test_settings_that_make_no_sense_are_refused(stage: Stage) -> None:
    with pytest.raises(ValueError, match="max_iterations of a CognitiveConfig is 0; 1 or more"):
        CognitiveConfig(max_iterations=0)
    with pytest.raises(TypeError, match=r"write \['fs:read_file'\]"):
        stage.thinker(ScriptedMind(), tools="fs:read_file")


# -- ending early ------------------------------------------------------------------------------


@pytest.mark.feature("COG-01")
async def test_stopping_cancels_the_tools_that_run(stage: Stage) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def endless(call: ToolCall) -> Any:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await stage.offer("slow:work", endless)
    mind = ScriptedMind(call(use("slow:work")), say("never"))
    thinker = stage.thinker(mind)
    async with asyncio.TaskGroup() as group:
        run = group.create_task(thinker.run("Work"))
        await started.wait()
        thinker.stop()
    result = run.result()
    assert result.error is not None
    assert (result.finish, result.error.code, result.success) == ("stopped", "STOPPED", False)
    await wait_until(ended.is_set)


@pytest.mark.feature("COG-02")
async def test_leaving_a_stream_ends_the_tool_and_the_models_stream(stage: Stage) -> None:
    mind = ScriptedMind(say("one two three"))
    mind.hold = True
    stream = stage.thinker(mind).run_stream("Speak")
    async for _ in stream:
        if mind.hangs.is_set():
            break
    assert mind.is_open == 1
    await stream.aclose()
    assert mind.is_open == 0


@pytest.mark.feature("COG-02")
async def test_stopping_a_stream_in_the_middle_ends_it_with_a_result(stage: Stage) -> None:
    mind = ScriptedMind(say("one two three"))
    mind.hold = True
    thinker = stage.thinker(mind)
    parts: list[Any] = []
    async with asyncio.TaskGroup() as group:

        async def listen() -> None:
            parts.extend([part async for part in thinker.run_stream("Speak")])

        group.create_task(listen())
        await mind.hangs.wait()
        thinker.stop()
    assert parts[-1].finish == "stopped"
    assert mind.is_open == 0


async def test_cancelling_a_run_cancels_its_tools(stage: Stage) -> None:
    ended = asyncio.Event()

    async def endless(call: ToolCall) -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await stage.offer("slow:work", endless)
    thinker = stage.thinker(ScriptedMind(call(use("slow:work"))))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await thinker.run("Work")
    await wait_until(ended.is_set)
