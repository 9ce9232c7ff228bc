"""What was recorded happens again, exactly; what is not the same is found; nothing else happens."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from loom.replay import RunUnreadable, read_run, replay

pytestmark = [pytest.mark.feature("X-06"), pytest.mark.feature("STO-03")]
LOOM = Path(sys.executable).with_name("loom")

AGENT = """
from __future__ import annotations

from loom import Agent, Context, Envelope

GREETING = "hello"


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    if event.data == "question":
        await ctx.reply(event, "answer")
        return
    ctx.state["n"] = ctx.state.get("n", 0) + 1
    note = await ctx.tool("fs:read_file", {"path": "note.txt"})
    await ctx.tool("fs:list")  # another name of fs:list_dir
    asked = await ctx.request("oracle.asked", "question")
    await ctx.emit("greeted", {
        "who": event.data, "text": GREETING, "n": ctx.state["n"], "note": note["content"],
        "oracle": asked.data, "at": ctx.clock.time(), "dice": ctx.random.random(),
    })


greeter = Agent("greeter", topics=["guest.came"], on_event=on_event)
oracle = Agent("oracle", topics=["oracle.asked"], on_event=on_event)
"""


Recorded = tuple[Path, Path]
"""The app, and the record of a life of it in which three guests came."""


def write_app(folder: Path) -> None:
    (folder / "agents").mkdir(parents=True)
    (folder / "workspace").mkdir()
    (folder / "workspace" / "note.txt").write_text("a note")
    (folder / "agents" / "greeter.py").write_text(AGENT)
    (folder / "loom.toml").write_text(
        'name = "guests"\nprofile = "guests"\n[workspace]\nroot = "workspace"\n'
        "[profiles.guests]\n"
        'plugins = ["agents", "bridge", "control", "journal", "native", "sandbox", "tools"]\n'
        '[plugins.tools.grants]\n"*" = ["fs:read_file", "fs:list_dir"]\n'
        '[plugins.journal]\ntopics = ["greeted"]\n'
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    app = tmp_path_factory.mktemp("guests") / "app"
    write_app(app)
    file = app.with_name("run.jsonl")
    with running(app):
        for guest in ("ann", "bob", "eve"):
            loom(app, "publish", "guest.came", json.dumps(guest))
        wait_for(app, 3)
        loom(app, "record", "-o", str(file))
    return app, file


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    write_app(folder)
    return folder


@pytest.fixture
def run(recorded: Recorded, tmp_path: Path) -> Path:
    return Path(shutil.copy(recorded[1], tmp_path / "run.jsonl"))


@contextmanager
def running(app: Path, *more: str) -> Iterator[None]:
    """The app in a process of its own, until the block ends."""
    command = [str(LOOM), "run", str(app), *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if "ready" in line:
                    break
            yield
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.communicate(timeout=30)


def loom(app: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [LOOM, *words], cwd=app, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def wait_for(app: Path, count: int, *more: str) -> list[dict[str, Any]]:
    """The app's greetings, once there are *count*."""
    found: list[str] = []
    for _ in range(100):
        found = loom(app, "events", "--topic", "greeted", "--json", *more).splitlines()
        if len(found) >= count:
            return [json.loads(line)["data"] for line in found]
    raise AssertionError(f"{len(found)} of {count} greetings")


@pytest.mark.reliability("R11")
def test_a_run_happens_again_twice_and_in_another_process(app: Path, run: Path) -> None:
    header, handlings = read_run(run)
    assert header.app == "app"
    greetings = [one for one in handlings if one.agent == "greeter"]
    assert len(greetings) == 3
    assert greetings[0].calls[0].result["output"] == {"content": "a note"}
    assert len(greetings[0].clock) == 1
    first, second = (json.loads(loom(app, "replay", str(run), "--json")) for _ in range(2))
    assert first["same"]
    assert first["digest"] == second["digest"]
    assert first["states"]["greeter"] == {"n": 3}
    assert replay(run, app).digest == first["digest"]


def test_until_ends_it_there(app: Path, run: Path) -> None:
    _, handlings = read_run(run)
    middle = [one.number for one in handlings if one.agent == "greeter"][1]
    shown = json.loads(loom(app, "replay", str(run), "--until", str(middle), "--json"))
    assert shown["states"]["greeter"] == {"n": 2}


@pytest.mark.reliability("R11")
@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('GREETING = "hello"', 'GREETING = "hi"', "on greeted it publishes"),
        ('"n", 0) + 1', '"n", 0) + 2', "on greeted it publishes"),
        ('"path": "note.txt"', '"path": "secret.txt"', "it calls fs:read_file"),
        ("ctx.random.random()", "__import__('random').random()", "on greeted it publishes"),
        ("ctx.clock.time()", "__import__('time').time()", "on greeted it publishes"),
        ("note = await", "__import__('subprocess').run(['true']); note = await", "EffectInReplay"),
        ("note = await", "open('x', 'w').close(); note = await", "EffectInReplay"),
        (
            "note = await",
            "__import__('socket').create_connection(('127.0.0.1', 9)); note = await",
            "EffectInReplay",
        ),
        ("note = await", "raise ValueError; note = await", "it ends with ValueError"),
        ("    await ctx.emit(", "    return\n    await ctx.emit(", "it did not publish greeted"),
    ],
)
def test_code_that_does_something_else_is_found_and_does_nothing(
    app: Path, run: Path, old: str, new: str, what: str
) -> None:
    agent = app / "agents" / "greeter.py"
    assert AGENT.count(old) == 1
    agent.write_text(AGENT.replace(old, new))
    before = sorted(app.rglob("*"))
    shown = loom(app, "replay", str(run), code=1)
    assert re.search(rf"greeter on guest\.came: .*{re.escape(what)}", shown)
    assert [path for path in sorted(app.rglob("*")) if path not in before] == []


def test_a_run_becomes_a_test_that_fails_when_the_code_changes(app: Path, run: Path) -> None:
    loom(app, "test-from", str(run))
    assert "1 passed" in pytest_of(app, code=0)
    agent = app / "agents" / "greeter.py"
    agent.write_text(AGENT.replace('"hello"', '"hi"'))
    assert "it publishes" in pytest_of(app, code=1)
    assert "it is no test" in loom(app, "test-from", str(run), code=1)


def pytest_of(app: Path, *, code: int) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=app, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout
    return done.stdout


def test_a_fork_goes_on_from_a_moment_with_other_code(app: Path, run: Path, tmp_path: Path) -> None:
    _, handlings = read_run(run)
    first = next(one.number for one in handlings if one.agent == "greeter")
    state = tmp_path / "fork"
    made = json.loads(
        loom(app, "fork", str(run), "--at", str(first), "--state", str(state), "--json")
    )
    assert made["agents"]["greeter"] == {"n": 1}
    assert made["waiting"]["greeter"] == 2
    agent = app / "agents" / "greeter.py"
    agent.write_text(AGENT.replace('"hello"', '"good evening"'))
    with running(app, "--state", str(state)):
        found = wait_for(app, 2, "--state", str(state))
    # one whose oracle was not up yet came again a little later, so the order may be another
    assert sorted((one["who"], one["text"]) for one in found) == [
        ("bob", "good evening"), ("eve", "good evening"),
    ]  # fmt: skip
    assert sorted(one["n"] for one in found) == [2, 3]
    again = loom(app, "fork", str(run), "--at", "1", "--state", str(state), code=1)
    assert "there is a journal" in again
    assert "has no handling 99" in loom(
        app, "fork", str(run), "--at", "99", "--state", str(tmp_path / "other"), code=1
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"{}\n", ":1 is not part"),
        (b'{"format":1,"app":"x","agents":{}}\n{"number":1}\n', ":2 is not part"),
        (b'{"format":2,"app":"x","agents":{}}\n', "has format 2"),
        (b"\xff\xfe\n", ":1 is not part"),
        (b"[" * 100_000, ":1 is not part"),
    ],
)
def test_what_is_no_record_is_refused_with_its_line(
    tmp_path: Path, content: bytes, what: str
) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(content)
    with pytest.raises(RunUnreadable, match=re.escape(what)):
        read_run(file)


def test_a_run_of_another_app_says_which_agent_is_missing(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "agents").mkdir(parents=True)
    shown = loom(other, "replay", str(run), code=1)
    assert "has no agent greeter" in shown
