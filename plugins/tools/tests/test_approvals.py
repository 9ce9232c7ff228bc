"""What was approved is, byte for byte, what runs: once, in its time, and nothing else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loom.contracts import Approvals, Capsule, Decision, Preparation
from loom_kernel import Envelope, Host, current
from loom_kernel.testing import VirtualClock, run_virtual, wait_until
from loom_plugin_tools.wording import shown

from plugins.tools.tests.attempts import ATTEMPTS
from plugins.tools.tests.desk import NOTE, office

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.feature("X-01", "SEC-04"),
    pytest.mark.reliability("S11"),
]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def test_a_call_waits_for_a_person_and_then_runs_as_it_was_shown(state: Path) -> None:
    async with office(state) as desk:
        await desk.open()
        call = desk.call(reason="the user wants it")
        asked = await desk.question()
        assert desk.ran == []
        assert asked.text.splitlines()[:3] == [
            "clerk wants to run note:write 1.0",
            "  a tool of kind native, provided by notes",
            "  asked because: fs.write was not granted to clerk",
        ]
        for line in ('  path = "a.txt"', '  text = "hello"', "what it will do: write a.txt",
                     "in folder: /notes", "with variables: LANG", "depends on: draft.txt (absent)",
                     'in its own words: "the user wants it"'):  # fmt: skip
            assert line in asked.text.splitlines()
        await desk.decide(asked.id, digest=asked.digest)
        result = await call
        assert (result.code, result.output) == ("ACTION_OK", {"written": "a.txt"})
        assert [dict(run.arguments) for run in desk.ran] == [{"path": "a.txt", "text": "hello"}]
        assert [e.topic for e in await desk.events.wait_for("tool.call.completed")]
        assert await desk.questions() == []


async def test_no_is_no_and_says_why(state: Path) -> None:
    async with office(state) as desk:
        await desk.open()
        call = desk.call()
        await desk.decide((await desk.question()).id, allow=False, note="not on a Friday")
        result = await call
        assert result.code == "APPROVAL_DENIED"
        assert result.error is not None
        assert "not on a Friday" in result.error.message
        assert desk.ran == []


def test_nobody_there_is_no() -> None:
    async def main() -> None:
        async with office(clock=VirtualClock(), approval_timeout=60.0) as desk:
            await desk.open()
            began = desk.clerk.clock.monotonic()
            result = await desk.call()
            assert result.code == "APPROVAL_DENIED"
            assert desk.clerk.clock.monotonic() - began == pytest.approx(60.0, abs=1.0)
            assert desk.ran == []
            assert await desk.questions() == []

    run_virtual(main)


@pytest.mark.feature("X-08")
@pytest.mark.reliability("R20")
@pytest.mark.parametrize("jump", [-3600.0, 86400.0, 3652 * 86400.0])
def test_a_question_ends_in_its_time_whatever_the_wall_clock_says(state: Path, jump: float) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with office(state, clock, approval_timeout=60.0) as desk:
            await desk.open()
            call = desk.call()
            asked = await desk.question()
            await clock.sleep(50.0)
            clock.set_wall(clock.time() + jump)
            assert (await desk.question()).id == asked.id
            await desk.decide(asked.id)
            assert (await call).is_ok
            began, late = clock.monotonic(), desk.call()
            clock.set_wall(clock.time() + jump)
            assert (await late).code == "APPROVAL_DENIED"
            assert clock.monotonic() - began == pytest.approx(60.0, abs=0.05)

    run_virtual(main)


async def test_who_is_remembered_is_not_asked_again_and_others_are(state: Path) -> None:
    async with office(state) as desk:
        await desk.open()
        first = desk.call()
        await desk.decide((await desk.question()).id, remember=3600.0)
        assert (await first).is_ok
        assert (await desk.call(arguments={"path": "b"})).is_ok
        other = desk.call(desk.runtime.host("other"))
        await desk.decide((await desk.question()).id, allow=False)
        assert (await other).code == "APPROVAL_DENIED"


@pytest.mark.corpus
@pytest.mark.parametrize("name", list(ATTEMPTS))
async def test_nothing_else_runs(state: Path, name: str) -> None:
    async with office(state) as desk:
        await desk.open()
        await ATTEMPTS[name](desk)
        await desk.settle()
        assert desk.ran == []


# -- what people are shown ---------------------------------------------------------------------

TRICKS = {
    "an escape sequence": "ok\x1b[2K\x1b[1A",
    "a carriage return": "rm -rf /\rls       ",
    "a line break": "ls\n  text = \"hello\"",
    "right to left": "gpj.\u202eexe",
    "an isolate": "\u2066a\u2069",
    "no width": "r\u200bm",
    "a joiner": "r\u2060m",
    "a byte order mark": "\ufeffls",
    "a tag": "ls\U000e0041",
    "a null": "ls\x00rm",
    "a backspace": "rm\x08\x08ls",
    "a bell": "\x07",
    "an odd space": "rm\u00a0-rf",
    "a wide space": "rm\u3000-rf",
    "a line separator": "ls\u2028rm",
    "a private letter": "\ue000",
    "a lone surrogate is no text": "x",
    "a soft hyphen": "r\u00adm",
    "an invisible times": "2\u20622",
    "a hangul filler": "a\u115fb",
}  # fmt: skip


@pytest.mark.corpus
@pytest.mark.parametrize("trick", list(TRICKS))
async def test_nothing_in_the_question_can_hide(state: Path, trick: str) -> None:
    text = TRICKS[trick]
    async with office(state) as desk:
        await desk.open()
        desk.world = {text: "absent"}
        call = desk.call(arguments={"path": text, text: text}, reason=text)
        asked = await desk.question()
        await desk.decide(asked.id, allow=False)
        await call
        lines = asked.text.split("\n")
        assert all(line.isascii() or line.isprintable() for line in lines)
        assert f'  path = "{shown(text)}"' in lines
        assert len([line for line in lines if line.startswith("  text = ")]) == 0
        assert desk.ran == []


@given(st.text())
def test_whatever_is_shown_is_printable_and_told_apart(text: str) -> None:
    assert all(c.isprintable() for c in shown(text))
    assert "\n" not in shown(text)


async def test_letters_that_look_like_others_are_named(state: Path) -> None:
    async with office(state) as desk:
        await desk.open()
        call = desk.call(arguments={"path": "p\u0430ypal.txt"})
        asked = await desk.question()
        assert "\u0430 CYRILLIC SMALL LETTER A" in asked.text
        await desk.decide(asked.id, allow=False)
        await call


async def test_a_long_command_is_shown_to_its_end(state: Path) -> None:
    async with office(state) as desk:
        await desk.open()
        call = desk.call(arguments={"path": "x" * 60_000 + "THE END"})
        asked = await desk.question()
        assert "xTHE END" in asked.text
        assert "arguments (60018 bytes)" in asked.text
        await desk.decide(asked.id, allow=False)
        await call


# -- the capsule --------------------------------------------------------------------------------

PREPARED = Preparation("write", "/notes", ("LANG",), {"a": "b"})
CAPSULE = Capsule(
    id="1", call="c", principal="clerk", tool="note:write", version="1.0", owner="notes",
    definition="d", arguments='{"path":"a","text":"b"}', preparation=PREPARED, expires=100.0,
    nonce="n",
)  # fmt: skip


def problem(**changes: Any) -> str:
    seen: dict[str, Any] = {
        "tool": "note:write", "version": "1.0", "arguments": {"text": "b", "path": "a"},
        "preparation": PREPARED, "now": 50.0, **changes,
    }  # fmt: skip
    return CAPSULE.problem(**seen)


def test_a_capsule_fits_what_was_approved_and_nothing_else() -> None:
    assert problem() == ""
    replace = msgspec.structs.replace
    others: list[dict[str, Any]] = [
        {"tool": "note:read"}, {"version": "1.1"}, {"now": 100.0}, {"now": 1e9},
        {"arguments": {"path": "a", "text": "b", "mode": "x"}}, {"arguments": {"path": "a"}},
        {"arguments": {"path": "a", "text": "B"}}, {"arguments": {"path": "a", "text": ["b"]}},
        {"arguments": {"path": "a ", "text": "b"}},
        {"arguments": {"path": "a", "text": "b\u0301"}},
        {"preparation": replace(PREPARED, cwd="/")}, {"preparation": replace(PREPARED, files={})},
        {"preparation": replace(PREPARED, environment=("LANG", "LD_PRELOAD"))},
        {"preparation": replace(PREPARED, files={"a": "c"})},
        {"preparation": replace(PREPARED, files={"a": "b", "c": "d"})},
        {"preparation": replace(PREPARED, summary="write more")}, {"preparation": Preparation()},
    ]  # fmt: skip
    for changes in others:
        assert problem(**changes), changes


@given(place=st.integers(0), flip=st.integers(1, 255))
def test_no_byte_of_a_capsule_can_be_changed(place: int, flip: int) -> None:
    content = bytearray(msgspec.json.encode(CAPSULE))
    content[place % len(content)] ^= flip
    try:
        changed = msgspec.json.decode(bytes(content), type=Capsule)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    assert changed.digest() != CAPSULE.digest()


# -- restarts -----------------------------------------------------------------------------------


def file_of(state: Path, id: str) -> Path:
    return state / "plugins/tools/approvals" / f"{id}.json"


async def ask_and_crash(state: Path) -> str:
    """Leave one question behind; its id."""
    async with office(state) as desk:
        await desk.open()
        page = Envelope("page", "loom://web", 1.0, "page", labels=frozenset({"untrusted"}))
        token = current.set(page)
        call = desk.call(id="one", arguments={"path": "a.txt", "text": "as shown"})
        current.reset(token)
        asked = await desk.question()
        kept = file_of(state, asked.id).read_bytes()
        call.cancel()
        await wait_until(lambda: desk.events.on("approval.decided"))
    (state / "plugins/tools/approvals" / f"{asked.id}.json").write_bytes(
        kept
    )  # as kill -9 leaves it
    return asked.id


@pytest.mark.feature("X-02")
async def test_a_question_survives_a_restart_and_runs_what_was_shown(state: Path) -> None:
    id = await ask_and_crash(state)
    async with office(state) as desk:
        await desk.open()
        asked = await desk.question()
        assert asked.id == id
        assert '  text = "as shown"' in asked.text
        answer = await desk.decide(id, digest=asked.digest)
        assert msgspec.to_builtins(answer["result"])["output"] == {"written": "a.txt"}
        (ran,) = desk.ran
        assert ran.arguments == {"path": "a.txt", "text": "as shown"}
        assert ran.caller == "clerk"
        assert desk.labels == [frozenset({"untrusted"})], "what led to it then leads to it now"
        assert "error" in await desk.decide(id)
    async with office(state) as desk:  # and not again
        await desk.open()
        assert await desk.questions() == []
        assert "error" in await desk.decide(id)
        assert desk.ran == []


async def test_after_a_restart_with_another_tool_it_does_not_run(state: Path) -> None:
    id = await ask_and_crash(state)
    async with office(state) as desk:
        await desk.open(msgspec.structs.replace(NOTE, description="Another"))
        answer = await desk.decide(id)
        assert msgspec.to_builtins(answer["result"])["code"] == "APPROVAL_DENIED"
        assert desk.ran == []


async def test_a_question_of_another_instance_is_not_taken(state: Path, tmp_path: Path) -> None:
    id = await ask_and_crash(state)
    other = tmp_path / "other"
    async with office(other):
        pass
    folder = other / "plugins/tools/approvals"
    folder.mkdir(mode=0o700)
    (folder / f"{id}.json").write_bytes(
        (state / "plugins/tools/approvals" / f"{id}.json").read_bytes()
    )
    async with office(other) as desk:
        await desk.open()
        assert await desk.questions() == []
        assert "error" in await desk.decide(id)


async def test_a_question_under_another_name_is_not_taken(state: Path) -> None:
    id = await ask_and_crash(state)
    file_of(state, "00000000").write_bytes(file_of(state, id).read_bytes())
    async with office(state) as desk:
        await desk.open()
        assert [one.id for one in await desk.questions()] == [id]


@settings(max_examples=40, deadline=None)
@given(place=st.integers(0), flip=st.integers(1, 255))
def test_a_kept_question_with_a_changed_byte_never_runs(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    state = tmp_path_factory.mktemp("flipped") / "state"

    async def main() -> None:
        id = await ask_and_crash(state)
        path = file_of(state, id)
        content = bytearray(path.read_bytes())
        content[place % len(content)] ^= flip
        path.write_bytes(content)
        async with office(state) as desk:
            await desk.open()
            assert "error" in await desk.decide(id)
            assert desk.ran == []

    asyncio.run(main())


# -- other questions ----------------------------------------------------------------------------


async def test_plugins_ask_questions_that_are_no_calls(state: Path) -> None:
    async with office(state) as desk:
        approvals = desk.clerk.require(Approvals)

        async def ask(host: Host) -> Decision:
            return await approvals.ask("mcp/time", "sampling", {"prompt": "hi"}, ("it wants to",))

        asking = desk.clerk.spawn(ask(desk.clerk), "ask")
        asked = await desk.question()
        assert '  prompt = "hi"' in asked.text
        await desk.decide(asked.id, answer={"name": "Bob"})
        assert (await asking).answer == {"name": "Bob"}
        refused = desk.clerk.spawn(ask(desk.clerk), "ask")
        await desk.decide((await desk.question()).id, allow=False)
        assert not (await refused).allow


@pytest.mark.feature("SEC-07")
async def test_every_question_and_its_answer_are_in_the_audit(state: Path) -> None:
    async with office(state) as desk:
        await desk.open()
        call = desk.call()
        await desk.decide((await desk.question()).id)
        await call
    (path,) = (state / "plugins/audit").glob("audit-*.jsonl")
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(one["event"], one["who"]) for one in told[1:-1]] == [
        ("approval.wanted", "clerk"),
        ("approval.allowed", "cli"),
        ("tool.call.started", "clerk"),
        ("tool.call.completed", "clerk"),
    ]
    assert "hello" not in path.read_text()  # what was written is nobody's business here


def test_the_clock_that_counts_is_the_runtimes() -> None:
    """An approval is as old as the runtime's clock says, whoever turned the machine's."""

    async def main() -> None:
        async with office(clock=VirtualClock(), approval_timeout=10.0) as desk:
            await desk.open()
            call = desk.call()
            asked = await desk.question()
            await desk.clerk.clock.sleep(11.0)
            assert (await call).code == "APPROVAL_DENIED"
            assert "error" in await desk.decide(asked.id)

    run_virtual(main)
