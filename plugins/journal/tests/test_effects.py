"""A tool that changes the world runs once, or its outcome is said to be unknown: never twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from loom.contracts import Effects, Journal
from loom_kernel.testing import running

MAILER = Path(__file__).with_name("mailer.py")
pytestmark = [pytest.mark.feature("X-05"), pytest.mark.feature("TOOL-05")]


def live(folder: Path, when: str, hint: str = "once") -> list[str]:
    """One life of the process; what its agent was told."""
    command = [sys.executable, str(MAILER), str(folder / "state"), str(folder / "sent"), when, hint]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == (0 if when == "never" else 9)
    return [line.split()[1] for line in done.stdout.splitlines()]


def sent(folder: Path) -> list[str]:
    return (folder / "sent").read_text().splitlines()


def test_what_may_have_happened_is_not_done_again(tmp_path: Path) -> None:
    assert live(tmp_path, "after") == []
    assert live(tmp_path, "never") == ["OUTCOME_UNKNOWN"]
    assert len(sent(tmp_path)) == 1


def test_also_what_had_not_happened_is_not_guessed_at(tmp_path: Path) -> None:
    assert live(tmp_path, "before") == []
    assert live(tmp_path, "never") == ["OUTCOME_UNKNOWN"]
    assert sent(tmp_path) == []


def test_what_is_the_same_twice_is_done_again_under_the_same_id(tmp_path: Path) -> None:
    assert live(tmp_path, "after", "idempotent") == []
    assert live(tmp_path, "never", "idempotent") == ["ACTION_OK"]
    first, second = sent(tmp_path)
    assert first == second


def test_a_result_that_was_told_is_told_again_and_nothing_runs(tmp_path: Path) -> None:
    assert live(tmp_path, "told") == ["ACTION_OK"]
    assert live(tmp_path, "never") == ["ACTION_OK"]
    assert len(sent(tmp_path)) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("happened", [True, False])
async def test_a_person_says_what_became_of_it(tmp_path: Path, *, happened: bool) -> None:
    live(tmp_path, "after")
    async with running("journal", state=tmp_path / "state") as runtime:
        owner = runtime.host("cli")
        (call,) = (await owner.request("journal.unknown")).data["calls"]
        assert (call["caller"], call["name"]) == ("clerk", "mail:send")
        verdict = {"caller": "clerk", "id": call["id"], "happened": happened}
        await owner.request("journal.settle", verdict)
        assert (await owner.request("journal.unknown")).data["calls"] == []
        stranger = await runtime.host("stranger").request("journal.unknown")
        assert stranger.data["error"]["code"] == "PERMISSION_DENIED"
    assert live(tmp_path, "never") == ["ACTION_OK"]
    assert len(sent(tmp_path)) == (1 if happened else 2)


@pytest.mark.anyio
async def test_a_second_process_names_what_an_event_causes_as_the_first_did(tmp_path: Path) -> None:
    """The first one was killed amid the event: the call of the second has to be recognised."""
    async with running("journal", state=tmp_path / "state") as runtime:
        host = runtime.host("clerk")
        effects, journal = host.require(Effects), host.require(Journal)
        with host.subscribe("order.placed", durable="agent:clerk") as mailbox:
            await runtime.host("shop").publish("order.placed", 1)
            (event,) = await mailbox.receive_many(8)
            first = [effects.name("clerk", event, "mail:send") for _ in range(2)]
            assert first[0] != first[1], "two calls of one handling are two"
            journal.begin_anew("clerk", event)
            assert [effects.name("clerk", event, "mail:send") for _ in range(2)] == first
