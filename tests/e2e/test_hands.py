"""Tools by hand, through the real command: asked, approved, stopped, undone, recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, events, kill, wait_for

PLUGINS = ("agents", "audit", "native", "sandbox", "tools")
AGENT = """
from loom import Agent, Context, Envelope


async def keep(ctx: Context, topic: str, event: Envelope) -> None:
    await ctx.tool("fs:write_file", event.data, reason="I was told to", call_id="kept")
    await ctx.emit("note.kept", event.data["path"])


agent = Agent("keeper", topics=["note.told"], on_event=keep)
"""
NOTE = {"path": "note.txt", "content": "as it was shown"}


@pytest.fixture
def loom(home: Path) -> Iterator[Instance]:
    with Instance(home / "app", *PLUGINS) as instance:
        (instance.folder / "agents").mkdir()
        (instance.folder / "agents" / "keeper.py").write_text(AGENT, "utf-8")
        instance.up()
        yield instance


def note(loom: Instance) -> Path:
    return loom.folder / "workspace" / "note.txt"


def questions(loom: Instance) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(loom.loom("approve", "--list", "--json").stdout)
    return found


def asked(loom: Instance) -> str:
    """The id of the one question that waits."""
    wait_for(lambda: questions(loom))
    (one,) = questions(loom)
    return str(one["capsule"]["id"])  # type: ignore[index]  # it is a dict


@pytest.mark.feature("SEC-04", "X-01")
def test_a_question_of_a_killed_loom_is_answered_by_another_process_after_a_restart(
    loom: Instance,
) -> None:
    loom.loom("publish", "note.told", json.dumps(NOTE))
    id = asked(loom)
    assert not note(loom).exists()
    kill(loom.status()["pid"])
    loom.up()
    shown = loom.loom("approve", "--list").stdout
    for line in ("keeper wants to run fs:write_file 1.0", 'content = "as it was shown"',
                 'in its own words: "I was told to"'):  # fmt: skip
        assert line in shown
    done = loom.loom("approve", id)
    assert done.returncode == 0, done.stderr
    assert '"bytes_written": 15' in done.stdout
    assert note(loom).read_text() == "as it was shown"
    assert loom.loom("approve", id).returncode == 1  # once
    assert questions(loom) == []
    whole = loom.loom("audit", "verify")
    assert (whole.returncode, whole.stdout[:5]) == (0, "whole")
    listed = loom.loom("audit", "list", "--event", "approval.*").stdout
    assert "approval.allowed  cli  fs:write_file" in listed


@pytest.mark.feature("SEC-04")
def test_what_changes_before_the_answer_does_not_run(loom: Instance) -> None:
    loom.loom("publish", "note.told", json.dumps(NOTE))
    id = asked(loom)
    note(loom).write_text("somebody else's")
    assert loom.loom("approve", id).returncode == 0
    failed = loom.tail("agent.keeper.failed")
    loom.loom("publish", "note.told", json.dumps(NOTE))
    assert failed.stdout is not None
    (event,) = events(failed.stdout.readline())
    assert "has changed since it was approved" in event["data"]["error"]
    assert note(loom).read_text() == "somebody else's"


@pytest.mark.feature("TOOL-01", "NAT-01", "X-18")
def test_the_owner_calls_is_asked_and_takes_it_back(loom: Instance) -> None:
    written = loom.loom("call", "fs:write_file", json.dumps(NOTE), "--yes")
    assert written.returncode == 0, written.stderr
    assert json.loads(written.stdout)["bytes_written"] == 15
    assert loom.loom("undo").returncode == 0
    assert not note(loom).exists()
    read = loom.loom("call", "fs:list_dir", "--json")
    assert json.loads(read.stdout)["code"] == "ACTION_OK"
    wrong = loom.loom("call", "fs:read_file", '{"path": 7}')
    assert (wrong.returncode, "INVALID_PARAMS" in wrong.stderr) == (2, True)
    assert loom.loom("call", "fs:read_file", "{").returncode == 2
    assert loom.loom("call", "fs:nothing").returncode == 2
    assert loom.loom("call", "fs:read_file", '{"path": "none"}').returncode == 1


@pytest.mark.feature("X-04", "NAT-02")
def test_rules_and_the_halt_hold_also_after_a_restart(loom: Instance) -> None:
    made = loom.loom("rules", "add", "deny", "fs:write*", "--reason", "read only today", "--json")
    id = json.loads(made.stdout)["id"]
    kill(loom.status()["pid"])
    loom.up()
    refused = loom.loom("call", "fs:write_file", json.dumps(NOTE), "--yes")
    assert (refused.returncode, "read only today" in refused.stderr) == (1, True)
    assert loom.loom("rules", "remove", id).returncode == 0
    loom.loom("publish", "note.told", json.dumps(NOTE))
    asked(loom)
    assert loom.loom("stop").returncode == 0
    assert questions(loom) == []
    assert "loom resume" in loom.loom("call", "fs:list_dir").stderr
    assert loom.loom("resume").returncode == 0
    assert loom.loom("call", "fs:list_dir").returncode == 0
    assert not note(loom).exists()
