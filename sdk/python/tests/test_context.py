"""What a handler works with: emit, request, reply, threads, tools, state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from loom import Agent, Context, Envelope, ToolError, capability
from loom.contracts import Agents
from loom_kernel import NoResponders, RequestTimeout, Runtime
from loom_kernel.testing import EventRecorder, wait_until

pytestmark = pytest.mark.anyio

OnEvent = Callable[[Context, str, Envelope], Awaitable[object]]


class Stage:
    """Agents on a runtime, and what was published."""

    def __init__(self, runtime: Runtime) -> None:
        self.host = runtime.host("outside")
        self.events = EventRecorder(runtime.host("witness"), ">")
        self.agents = self.host.require(Agents)

    async def enter(self, id: str, on_event: OnEvent, *topics: str, **more: Any) -> Agent:
        agent = Agent(id, topics, on_event=on_event, **more)
        await self.agents.create(agent.definition())
        return agent


@pytest.fixture
def stage(runtime: Runtime) -> Stage:
    return Stage(runtime)


async def ignore(ctx: Context, topic: str, event: Envelope) -> None: ...


@pytest.mark.feature("BUS-01")
async def test_emit_publishes_as_the_agent(stage: Stage) -> None:
    async def speak(ctx: Context, topic: str, event: Envelope) -> None:
        await ctx.emit("said", {"words": event.data}, type="speech", priority=70)
        await ctx.emit("said", payload="more")

    await stage.enter("ada", speak, "say")
    await stage.host.publish("say", "hi")
    first, second = await stage.events.wait_for("said", 2)
    assert (first.sender, first.data, first.type, first.priority) == (
        "ada",
        {"words": "hi"},
        "speech",
        70,
    )
    assert second.data == "more"
    assert first.causation_id == stage.events.on("say")[0].id


@pytest.mark.feature("COL-01")
@pytest.mark.feature("COL-02")
async def test_agents_ask_each_other_inside_their_handlers(stage: Stage) -> None:
    async def answer(ctx: Context, topic: str, event: Envelope) -> None:
        await ctx.reply(event, event.data * 2)

    async def ask(ctx: Context, topic: str, event: Envelope) -> None:
        direct = await ctx.request("double", 21)
        threaded = await ctx.request(ctx.thread(event), "double", payload=4, timeout_ms=2000)
        await ctx.emit("answers", [direct.data, threaded.data, threaded.thread_id])

    await stage.enter("bob", answer, "double")
    await stage.enter("ada", ask, "go")
    await stage.host.publish("go", thread_id="t1")
    (event,) = await stage.events.wait_for("answers")
    assert event.data == [42, 8, "t1"]
    asked = stage.events.on("double")
    assert [one.correlation_id for one in asked] == ["t1", "t1"]


@pytest.mark.feature("COL-01")
async def test_no_answer_and_nobody_there(stage: Stage) -> None:
    caught: list[Exception] = []

    async def ask(ctx: Context, topic: str, event: Envelope) -> None:
        for asked in ("silence", "void"):
            try:
                await ctx.request(asked, timeout_ms=20)
            except (RequestTimeout, NoResponders) as error:
                caught.append(error)

    await stage.enter("deaf", ignore, "silence")
    await stage.enter("ada", ask, "go")
    await stage.host.publish("go")
    await wait_until(lambda: len(caught) == 2)
    assert [type(error) for error in caught] == [RequestTimeout, NoResponders]


@pytest.mark.feature("ENV-03")
async def test_a_thread_is_joined_and_left_with_only_its_id(stage: Stage) -> None:
    heard: list[Any] = []

    async def listen(ctx: Context, topic: str, event: Envelope) -> None:
        if topic == "join":
            thread = await ctx.join_thread(event.data)
            assert thread.broadcast_topic == f"thread.{event.data}.broadcast"
        elif topic == "leave":
            await ctx.leave_thread(ctx.thread(event.data))
        else:
            heard.append(event.data)
            await ctx.reply(ctx.thread(event), "heard")

    await stage.enter("ada", listen, "join", "leave")
    replies = stage.host.subscribe("thread.t7.reply")
    assert await stage.host.publish("thread.t7.broadcast", 0) == 0
    await stage.host.publish("join", "t7")
    await wait_until(lambda: stage.agents.find(topic="thread.t7.broadcast"))
    await stage.host.publish("thread.t7.broadcast", 1, thread_id="t7")
    reply = await replies.receive()
    assert reply is not None
    assert (reply.data, reply.sender, reply.thread_id, reply.correlation_id) == (
        "heard",
        "ada",
        "t7",
        "t7",
    )
    await stage.host.publish("leave", "t7")
    await wait_until(lambda: not stage.agents.find(topic="thread.t7.broadcast"))
    assert await stage.host.publish("thread.t7.broadcast", 2) == 0
    assert heard == [1]


@pytest.mark.feature("TOOL-02")
async def test_a_tool_gives_its_output_or_raises_with_its_code(stage: Stage) -> None:
    @capability("math.half")
    def half(n: int) -> float:
        if n % 2:
            raise ValueError("odd")
        return n / 2

    outcome: list[Any] = []

    async def use(ctx: Context, topic: str, event: Envelope) -> None:
        outcome.append(await ctx.tool("math.half", {"n": 4}))
        for name, arguments in (
            ("math.half", {"n": "x"}),
            ("math.half", {"n": 3}),
            ("no.tool", {}),
        ):
            try:
                await ctx.tool(name, arguments)
            except ToolError as error:
                outcome.append((error.tool, error.code))

    await stage.enter("calc", ignore, capabilities=[half])
    await stage.enter("ada", use, "go")
    await stage.host.publish("go")
    await wait_until(lambda: len(outcome) == 4)
    assert outcome == [
        2,
        ("math.half", "INVALID_PARAMS"),
        ("math.half", "ACTION_ERROR"),
        ("no.tool", "CAPABILITY_ERROR"),
    ]


@pytest.mark.feature("TOOL-05")
async def test_a_call_id_makes_a_call_run_once(stage: Stage) -> None:
    runs: list[int] = []

    @capability("count")
    def count() -> int:
        runs.append(1)
        return len(runs)

    agent = await stage.enter("ada", ignore, capabilities=[count])
    outputs = [await agent.ctx.tool("count", call_id="once") for _ in range(3)]
    assert (outputs, len(runs)) == ([1, 1, 1], 1)


@pytest.mark.feature("RT-03")
async def test_state_lives_as_long_as_the_agent(stage: Stage) -> None:
    async def count(ctx: Context, topic: str, event: Envelope) -> None:
        ctx.state["n"] = ctx.state.get("n", 0) + 1
        await ctx.emit("counted", ctx.state["n"])

    await stage.enter("ada", count, "go")
    await stage.host.publish("go")
    await stage.events.wait_for("counted")
    await stage.agents.stop("ada")
    await stage.agents.start("ada")
    await stage.host.publish("go")
    assert [event.data for event in await stage.events.wait_for("counted", 2)] == [1, 2]
