"""The executor's own look at a capsule: it runs once, and only what was approved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from loom.contracts import Capsule, Preparation, ToolCall, ToolOrder, ToolResult
from loom_kernel import Envelope
from loom_kernel.testing import VirtualClock, run_virtual, wait_until

from plugins.tools.tests.desk import NOTE, Office, office

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.feature("X-01", "SEC-04"),
    pytest.mark.reliability("S11"),
]
ARGUMENTS = {"path": "a.txt", "text": "hello"}
PREPARED = Preparation("write a.txt", "/notes", ("LANG",), {"draft.txt": "absent"})


def capsule_of(desk: Office, **changes: Any) -> Capsule:
    """What was approved of the call that the tests run, but for *changes*."""
    approved = Capsule(
        id="1", call="c", principal="clerk", tool=NOTE.name, version=NOTE.version, owner="notes",
        definition="d", arguments='{"path":"a.txt","text":"hello"}', preparation=PREPARED,
        expires=desk.owner.clock.time() + 60, nonce="n",
    )  # fmt: skip
    return msgspec.structs.replace(approved, **changes)


async def run(desk: Office, capsule: Capsule) -> ToolResult:
    call = ToolCall(NOTE.name, ARGUMENTS, "c", NOTE.version, caller="clerk")
    cause = Envelope("tool.call", "", desk.owner.clock.time(), "tool.call", sender="clerk")
    result, _ = await desk.provider.run(ToolOrder(call, capsule), cause)
    return result


async def test_a_capsule_runs_once(tmp_path: Path) -> None:
    async with office(tmp_path / "state") as desk:
        await desk.open()
        capsule = capsule_of(desk)
        assert (await run(desk, capsule)).is_ok
        again = await run(desk, capsule)
        assert again.code == "APPROVAL_DENIED"
        assert "used already" in str(again.error)
        assert len(desk.ran) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tool": "note:read"}, "note:read 1.0 was approved"),
        ({"version": "0.9"}, "note:write 0.9 was approved"),
        ({"arguments": '{"path":"b.txt","text":"hello"}'}, "the arguments are not those"),
        ({"expires": 1.0}, "has expired"),
        ({"preparation": {"cwd": "/elsewhere"}}, "another folder"),
        ({"preparation": {"environment": ()}}, "other variables"),
        ({"preparation": {"files": {"draft.txt": "f" * 64}}}, "'draft.txt' has changed"),
        ({"preparation": {"files": {}}}, "'draft.txt' has changed"),
        ({"preparation": {"summary": "write b.txt"}}, "something else"),
    ],
)
async def test_what_differs_from_its_capsule_does_not_run(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    if isinstance(prepared := changes.get("preparation"), dict):
        changes = {"preparation": msgspec.structs.replace(PREPARED, **prepared)}
    async with office(tmp_path / "state") as desk:
        await desk.open()
        refused = await run(desk, capsule_of(desk, **changes))
        assert refused.code == "APPROVAL_DENIED"
        assert said in str(refused.error)
        assert desk.ran == []


def test_what_expired_while_no_loom_ran_is_not_approved_any_more(tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def leave() -> str:
        async with office(state, clock=VirtualClock(), approval_timeout=60.0) as desk:
            await desk.open()
            call = desk.call()
            asked = await desk.question()
            path = state / "plugins/tools/approvals" / f"{asked.id}.json"
            kept = path.read_bytes()
            call.cancel()
            await wait_until(lambda: desk.events.on("approval.decided"))
        path.write_bytes(kept)  # as kill -9 leaves it
        return asked.id

    async def come_back(id: str) -> None:
        async with office(state, clock=VirtualClock(), approval_timeout=60.0) as desk:
            await desk.open()
            assert len(await desk.questions()) == 1
            await desk.owner.clock.sleep(61.0)
            assert await desk.questions() == []
            assert "let it be asked again" in str(await desk.decide(id))
            assert desk.ran == []

    id = run_virtual(leave)
    run_virtual(lambda: come_back(id))
