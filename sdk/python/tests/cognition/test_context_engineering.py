"""What a model is told of all that happened: lines, groups, files, the best, never too much."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loom.cognition import (
    Action,
    ContextRanker,
    DataOffloader,
    OutputGone,
    Piece,
    StepCompactor,
    StepReducer,
    ThoughtStep,
    TokenWindow,
    WindowTooSmall,
)
from loom.cognition.context import Prompt, Turn
from loom.cognition.memory import MemoryEntry
from loom.contracts import Message, ModelTool, ToolCall, ToolUse
from loom_kernel.testing import VirtualClock, run_virtual

from sdk.python.tests.cognition.scripted import ScriptedMind, Stage, call, say, use

LONG = "\n".join(f"line {number} of a long text" for number in range(200))


class Clock(VirtualClock):
    """A clock that stands where it was set."""

    def __init__(self) -> None:
        super().__init__()
        self.time = lambda: self.now
        self.now = 2_000_000_000.0


# -- a line for each call ----------------------------------------------------------------------


@pytest.mark.feature("COG-04")
@pytest.mark.parametrize(
    ("tool", "arguments", "output", "line"),
    [
        ("fs:read_file", {"path": "a.py"}, {"content": LONG}, "read a.py: 200 lines, 4689 charac"),
        ("fs:write_file", {"path": "a", "content": "x\ny"}, {}, "wrote a: 2 lines, 3 characters"),
        ("fs:list_dir", {}, {"entries": [{"name": "x"}]}, "listed .: 1 entries: x"),
        ("fs:delete", {"path": "a"}, {}, "deleted a"),
        (
            "system:shell", {"command": ["ls", "-l"]},
            {"exit_code": 0, "stdout": "a\nb", "stderr": ""}, "ran ls -l: exit code 0: a b",
        ),
        ("web:search", {"query": "x"}, {"results": [1, 2]}, "searched x: 2 results"),
        ("web:fetch", {"url": "https://a.org/b"}, {"text": "abc"}, "fetched a.org: 3 characters"),
        ("fs:read_file", {"path": "a.py"}, {"odd": 1}, 'fs:read_file(path=a.py) → {"odd":1}'),
        ("any:thing", {"n": 1}, None, "any:thing(n=1) → done"),
        ("any:thing", {"t": "x" * 99}, "y" * 99, "any:thing(t=99 characters) → 1 lines, 99 charac"),
    ],
)  # fmt: skip
def test_a_call_becomes_one_line(
    tool: str, arguments: dict[str, Any], output: Any, line: str
) -> None:
    reduced = StepReducer().reduce(tool, arguments, output)
    assert reduced.startswith(line)
    assert "\n" not in reduced
    assert len(reduced) <= 160


@pytest.mark.feature("COG-04")
def test_a_tool_may_have_its_own_line_and_a_failure_has_its_reason() -> None:
    reducer = StepReducer()
    reducer.register("stock:price", lambda arguments, output: f"{output['price']} now")
    assert reducer.reduce("stock:price", {}, {"price": 7}) == "7 now"
    failed = reducer.reduce("stock:price", {"of": "X"}, None, "ACTION_ERROR: closed")
    assert failed == "stock:price(of=X) failed: ACTION_ERROR: closed"


# -- many steps --------------------------------------------------------------------------------


def step(number: int, tool: str = "fs:read_file", *, success: bool = True) -> ThoughtStep:
    action = Action(
        id=f"c{number}", tool=tool, arguments={"path": f"f{number}"},
        observation=f"read f{number}: 9 lines", output=f"content {number}",
        success=success, error="" if success else "ACTION_ERROR",
    )  # fmt: skip
    return ThoughtStep(number=number, thought=f"thought {number}", actions=(action,))


@pytest.mark.feature("COG-05")
def test_older_steps_are_grouped_and_failures_stand_alone() -> None:
    steps = [step(n, success=n != 6) for n in range(1, 11)]
    lines = StepCompactor().compact(steps)
    assert [line.is_failure for line in lines] == [False, True, False]
    assert lines[0].text.startswith("1–5. 5 calls of fs: read f1: 9 lines; read f2")
    assert lines[1].text == "6. read f6: 9 lines"


@pytest.mark.feature("COG-05")
def test_no_failure_is_left_out_however_many_lines_there_are() -> None:
    kinds = ("a:x", "b:x", "c:x")
    steps = [step(n, kinds[n % 3], success=n % 10 != 0) for n in range(1, 101)]
    lines = StepCompactor(max_lines=20).compact(steps)
    assert sum(line.is_failure for line in lines) == 10
    assert len(lines) == 20
    assert lines[-1].text.startswith("100.")


@pytest.mark.feature("COG-05")
def test_the_latest_steps_stay_and_the_beginning_changes_seldom() -> None:
    compactor = StepCompactor(5)
    splits = [compactor.split(count) for count in range(20)]
    assert all(split <= max(count - 5, 0) for count, split in enumerate(splits))
    assert splits[8:14] == [3, 3, 3, 6, 6, 6]


# -- long outputs ------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.feature("COG-06")
def test_a_long_output_goes_to_a_private_file_once_and_comes_back(
    tmp_path: Path, clock: Clock
) -> None:
    offloader = DataOffloader(tmp_path, clock)
    assert not offloader.is_long("x" * 2047)
    assert offloader.is_long("x" * 2048)
    assert offloader.is_long("é" * 1024)
    assert not offloader.is_long("x\n" * 49)
    assert offloader.is_long("x\n" * 50)
    kept = offloader.offload(LONG)
    assert offloader.offload(LONG) == kept
    (file,) = (tmp_path / ".loom/cache").iterdir()
    assert file.name == kept.reference
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert (kept.lines, kept.size) == (200, len(LONG))
    assert kept.preview.splitlines() == LONG.splitlines()[:10]
    assert offloader.retrieve(kept.reference) == LONG


@pytest.mark.feature("COG-06")
def test_what_was_not_used_for_a_day_goes(tmp_path: Path, clock: Clock) -> None:
    offloader = DataOffloader(tmp_path, clock)
    assert offloader.cleanup() == 0
    old, used = offloader.offload(LONG), offloader.offload(LONG + "used")
    clock.now += 86_000
    offloader.offload(LONG + "used")
    clock.now += 1_000
    assert offloader.cleanup() == 1
    assert offloader.retrieve(used.reference).endswith("used")
    with pytest.raises(OutputGone, match="cannot be read"):
        offloader.retrieve(old.reference)


@pytest.mark.feature("COG-06")
def test_a_changed_file_a_link_and_a_path_are_refused(tmp_path: Path, clock: Clock) -> None:
    offloader = DataOffloader(tmp_path, clock)
    kept = offloader.offload(LONG)
    file = tmp_path / ".loom/cache" / kept.reference
    file.write_text("other")
    with pytest.raises(OutputGone, match="was changed"):
        offloader.retrieve(kept.reference)
    file.unlink()
    file.symlink_to("/etc/passwd")
    with pytest.raises(OutputGone, match="cannot be read"):
        offloader.retrieve(kept.reference)
    with pytest.raises(OutputGone, match="is none"):
        offloader.retrieve("../" * 20 + "etc")
    assert offloader.offload(LONG) == kept  # the link is replaced, not followed
    assert file.is_symlink() is False
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "w").mkdir()
    (tmp_path / "w/.loom").symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"(?i)not a directory|symbolic"):
        DataOffloader(tmp_path / "w", clock).offload(LONG)


@pytest.mark.anyio
@pytest.mark.feature("COG-06")
@pytest.mark.feature("COG-04")
async def test_a_model_reads_a_long_output_in_full_once_then_in_parts(
    stage: Stage, tmp_path: Path
) -> None:
    async def read(call: ToolCall) -> Any:
        return {"content": LONG}

    await stage.offer("fs:read_file", read, labels=("private",))

    def look(request: Any) -> Any:
        reference = request.messages[-3].content.partition('reference "')[2].partition('"')[0]
        assert "line 199 of" not in request.messages[-3].content
        return call(
            use("context:read", "r1", reference=reference, start=199),
            use("context:read", "r2", reference=reference, find="LINE 42 "),
            use("context:read", "r3", reference="0" * 16),
        )

    mind = ScriptedMind(
        call(use("fs:read_file", path="a")), call(use("fs:read_file", "again", path="b")), look,
        say("done"),
    )  # fmt: skip
    thinker = stage.thinker(mind, tools=["fs:read_file"], workspace=tmp_path)
    result = await thinker.run("What is at the end?")
    assert "line 199 of a long text" in mind.requests[1].messages[-1].content
    assert "context:read" not in {tool.name for tool in mind.requests[0].tools}
    assert "context:read" in {tool.name for tool in mind.requests[1].tools}
    first, second, third = result.steps[2].actions
    assert first.output.splitlines()[:2] == [
        "199: line 198 of a long text", "200: line 199 of a long text",
    ]  # fmt: skip
    assert second.output.startswith("43: line 42 of a long text")
    assert third.error == "INVALID_PARAMS"
    assert len(list((tmp_path / ".loom/cache").iterdir())) == 1
    reference = result.steps[0].actions[0].reference
    assert thinker.memory.get_recent(1)[0].labels == {"private"}
    thinker.memory.clear()
    mind.lines = [call(use("context:read", reference=reference)), say("again")]
    await thinker.run("And what is at the beginning?")
    assert thinker.memory.get_recent(1)[0].labels == {"private"}


@pytest.mark.anyio
@pytest.mark.feature("COG-06")
async def test_what_no_disk_takes_is_told_as_far_as_it_goes(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / ".loom").write_text("no folder")

    async def read(call: ToolCall) -> Any:
        return LONG

    await stage.offer("fs:read_file", read)
    mind = ScriptedMind(
        call(use("fs:read_file", path="a")), call(use("fs:read_file", "2", path="b")), say("done")
    )
    result = await stage.thinker(mind, workspace=tmp_path).run("Read")
    assert result.success
    assert "the rest is gone" in mind.prompt()
    assert not result.steps[0].actions[0].reference


# -- what fits ---------------------------------------------------------------------------------


@pytest.mark.feature("COG-07")
def test_the_more_relevant_pieces_come_first() -> None:
    pieces = [
        Piece("The cafeteria serves soup on Mondays"),
        Piece("Invoices are sent as PDF", importance=0.1),
        Piece("The printer is on the second floor", importance=1.0),
        Piece("Invoice 17 was paid late"),
    ]
    ranked = ContextRanker().rank("When was invoice 17 paid?", pieces)
    assert [piece.text.split()[0] for piece in ranked][:2] == ["Invoice", "Invoices"]
    assert [piece.text.split()[1] for piece in ranked][2:] == ["printer", "cafeteria"]
    assert ContextRanker().rank("x", []) == []


@pytest.mark.anyio
@pytest.mark.feature("COG-07")
async def test_context_that_fits_best_is_kept_when_there_is_no_room_for_all(stage: Stage) -> None:
    mind = ScriptedMind(say("late"), window=2_000)
    pieces = [f"Chapter {n}: " + "words about soup " * 20 for n in range(30)]
    pieces.insert(17, "Invoice 17 was paid late. " + "padding " * 20)
    await stage.thinker(mind, tools=[]).run("When was invoice 17 paid?", pieces)
    assert "Invoice 17 was paid late" in mind.prompt()
    assert 0 < mind.prompt().count("Chapter") < 8


COUNTERS = {
    "thirds": lambda text: len(text) // 3 + 1,
    "characters": len,
    "bytes": lambda text: len(text.encode()),
    "words": lambda text: len(text.split()),
}
texts = st.text(max_size=400) | st.text(max_size=20).map(lambda text: text * 60)


@st.composite
def turns(draw: st.DrawFn) -> list[Turn]:
    made: list[Turn] = []
    for number in range(1, draw(st.integers(0, 14)) + 1):
        calls, actions, answers = [], [], []
        for place in range(draw(st.integers(0, 3))):
            id, output = f"c{number}.{place}", draw(texts)
            calls.append(ToolUse(id, "fs:read_file", {"path": draw(texts)}))
            actions.append(
                Action(id=id, tool="fs:read_file", observation=draw(texts)[:160], output=output,
                       success=draw(st.booleans()))
            )  # fmt: skip
            answers.append(Message("tool", output, call_id=id))
        taken = ThoughtStep(number=number, thought=draw(texts), actions=tuple(actions))
        said = Message("assistant", taken.thought, tuple(calls))
        fresh = [Message("tool", m.content * 3, call_id=m.call_id) for m in answers]
        if not actions:
            answers = [Message("user", "Say something.")]
        made.append(Turn(taken, said, tuple(answers), tuple(fresh)))
    return made


@pytest.mark.feature("COG-07")
@settings(max_examples=150, deadline=None)
@given(
    taken=turns(), size=st.integers(200, 4_000), reserve=st.none() | st.integers(1, 900),
    counter=st.sampled_from(sorted(COUNTERS)), pieces=st.lists(texts, max_size=6),
    said=st.lists(texts, max_size=8), then=st.sampled_from(["", "Answer now."]),
)  # fmt: skip
def test_a_prompt_never_exceeds_the_window(
    taken: list[Turn], size: int, reserve: int | None, counter: str, pieces: list[str],
    said: list[str], then: str,
) -> None:  # fmt: skip
    count = COUNTERS[counter]
    window = TokenWindow(size, reserve, count)
    tools = (ModelTool("fs:read_file", "Read", {"type": "object"}),)
    memory = [
        MemoryEntry("user" if place % 2 == 0 else "assistant", text)
        for place, text in enumerate(said)
    ]
    try:
        prompt = Prompt(
            window, StepCompactor(3), system="Be good.", goal="What?", memory=memory,
            pieces=[Piece(piece) for piece in pieces], tools=tools,
        )  # fmt: skip
    except WindowTooSmall:
        assert window.room < 400
        return
    messages = prompt.messages(taken, then)
    exact = TokenWindow(size, reserve, count)
    assert exact.of_messages(messages) + exact.of_tools(tools) + exact.reserve <= size
    assert messages[0].content.startswith("Be good.")
    assert any(message.content.startswith("What?") for message in messages)
    assert not then or messages[-1].content == then
    _fits_together(messages)


def _fits_together(messages: tuple[Message, ...]) -> None:
    """Each call has its answer right after it, and each answer its call."""
    wanted: list[str] = []
    for message in messages:
        if message.role == "tool":
            assert message.call_id == wanted.pop(0)
            continue
        assert not wanted
        wanted = [call.id for call in message.calls]
    assert not wanted


@pytest.mark.feature("COG-05")
@pytest.mark.feature("COG-07")
def test_what_gives_way_first_and_what_never_does() -> None:
    taken = [step(n, success=n != 2) for n in range(1, 31)]
    all_turns = [
        Turn(
            one,
            Message("assistant", one.thought, (ToolUse(one.actions[0].id, "fs:read_file"),)),
            (Message("tool", f"content {one.number} " * 30, call_id=one.actions[0].id),),
        )
        for one in taken
    ]
    rule = MemoryEntry("system", "Never delete anything.")
    told: dict[int, str] = {}
    for size in (8_000, 1_000, 600):
        window = TokenWindow(size, 100, lambda text: len(text) // 3 + 1)
        prompt = Prompt(window, StepCompactor(5), system="S", goal="G", memory=[rule])
        told[size] = "\n".join(message.content for message in prompt.messages(all_turns))
        assert "Never delete anything." in told[size]
        assert "2. read f2: 9 lines" in told[size]  # the failure
        assert "content 30" in told[size]
    assert "content 26" in told[8_000]
    assert "content 26" not in told[1_000]
    assert "26. read" in told[1_000] or "calls of fs" in told[1_000]
    assert len(told[600]) < len(told[1_000]) < len(told[8_000])
    small = TokenWindow(100, 20, len)
    with pytest.raises(WindowTooSmall, match="use a model with a larger window"):
        Prompt(small, StepCompactor(5), system="S" * 90, goal="G")


@pytest.mark.anyio
@pytest.mark.feature("COG-07")
async def test_a_window_without_room_for_the_goal_is_an_error_of_the_run(stage: Stage) -> None:
    result = await stage.thinker(ScriptedMind(say("x"), window=300)).run("Why? " * 500)
    assert result.error is not None
    assert result.error.code == "WINDOW_TOO_SMALL"
    assert result.iterations == 0


@pytest.mark.anyio
@pytest.mark.feature("COG-07")
async def test_a_window_that_is_told_with_the_first_answer_counts_from_then_on(
    stage: Stage,
) -> None:
    await stage.offer("fs:read_file")
    mind = ScriptedMind(window=0)

    def first(request: Any) -> Any:
        mind.context_window = 3_000
        return call(use("fs:read_file", path="a"))

    mind.lines += [first, say("done")]
    pieces = [f"Chapter {n}: " + "words about soup " * 20 for n in range(30)]
    await stage.thinker(mind).run("What?", pieces)
    assert mind.prompt(0).count("Chapter") > mind.prompt(1).count("Chapter") > 0


@pytest.mark.anyio
@pytest.mark.feature("COG-07")
async def test_a_model_that_counts_more_than_was_thought_is_told_less(stage: Stage) -> None:
    async def read(call: ToolCall) -> Any:
        return "short words " * 300

    await stage.offer("fs:read_file", read)
    mind = ScriptedMind(
        *(call(use("fs:read_file", f"c{n}", path="a")) for n in range(6)), say("done"),
        window=4_000,
    )  # fmt: skip
    pieces = [f"Chapter {n}: " + "words about soup " * 20 for n in range(10)]

    def learns(request: Any) -> Any:
        mind.factor = 2
        return call(use("fs:read_file", "first", path="a"))

    mind.lines.insert(0, learns)
    assert (await stage.thinker(mind).run("What?", pieces)).success
    exact = TokenWindow(4_000, None, mind.count_tokens)
    for request in mind.requests[1:]:
        taken = exact.of_messages(request.messages) + exact.of_tools(request.tools)
        assert taken <= exact.room


def test_virtual_time_is_all_that_cleanup_goes_by(tmp_path: Path) -> None:
    async def main() -> None:
        clock = VirtualClock()
        offloader = DataOffloader(tmp_path, clock)
        kept = offloader.offload(LONG)
        await clock.sleep(86_401)
        assert offloader.cleanup() == 1
        with pytest.raises(OutputGone):
            offloader.retrieve(kept.reference)

    run_virtual(main)
