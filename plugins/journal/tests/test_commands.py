"""`loom events`, `loom dlq`, `loom journal`: through a Loom that runs, and without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from loom_plugin_journal.commands import dlq, events, journal

LOOM = Path(sys.executable).with_name("loom")
pytestmark = pytest.mark.feature("X-06")

OFFICE = """
from loom import Agent
from loom.contracts import Reject

async def handle(ctx, topic, event):
    if event.data == "bad":
        raise Reject("no such customer")

agent = Agent("clerk", ["order.placed"], on_event=handle)
"""


class App:
    """An app's folder and the real command."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "agents").mkdir()
        (folder / "agents" / "clerk.py").write_text(OFFICE)
        (folder / "loom.toml").write_text(
            'profile = "test"\n[profiles.test]\nplugins = ["control", "agents", "journal"]\n'
        )

    def loom(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LOOM, *arguments], cwd=self.folder, env=os.environ.copy(), capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip

    def json(self, *arguments: str) -> Any:
        done = self.loom(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def events(self, *arguments: str) -> list[dict[str, Any]]:
        done = self.loom("events", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A Loom that runs, and to which three orders were published: one was given up."""
    app = App(tmp_path_factory.mktemp("app"))
    up = app.loom("up")
    assert up.returncode == 0, up.stderr
    for data in ("first", "bad", "third"):
        assert app.loom("publish", "order.placed", json.dumps(data)).returncode == 0
    yield app
    app.loom("down")


def test_commands_answer_through_a_running_loom(app: App) -> None:
    assert [event["data"] for event in app.events("--topic", "order.*")] == [
        "first", "bad", "third",
    ]  # fmt: skip
    assert [event["data"] for event in app.events("--last", "1")] == ["third"]
    assert app.events("--until", "2020-01-01") == []
    assert "order.placed" in app.loom("events", "--since", "10m").stdout
    status = app.json("journal", "status")
    assert status["status"]["healthy"] is True
    assert [c["name"] for c in status["consumers"]] == ["agent:clerk"]
    assert app.json("journal", "verify") == {"records": 3}
    assert app.json("journal", "unknown") == []
    assert app.loom("journal", "forget", "nobody").returncode == 1


def test_a_dead_letter_is_shown_delivered_again_and_dropped(app: App) -> None:
    (letter,) = app.json("dlq", "list")
    assert letter["reason"] == "no such customer"
    assert app.json("dlq", "show", letter["id"])["event"]["data"] == "bad"
    assert app.json("dlq", "replay", letter["id"]) == {"replayed": letter["id"]}
    (again,) = app.json("dlq", "list")
    assert again["time"] > letter["time"], "it was handled anew, and given up anew"
    assert "is dropped" in app.loom("dlq", "drop", again["id"]).stdout
    assert app.json("dlq", "list") == []
    missing = app.loom("dlq", "show", again["id"])
    assert missing.returncode == 1
    assert "there is no dead letter" in missing.stderr


def test_without_a_running_loom_the_log_is_read_and_proved(tmp_path: Path) -> None:
    app = App(tmp_path)
    nothing = app.loom("events")
    assert nothing.returncode == 1
    assert "there is no journal" in nothing.stderr
    app.loom("up")
    app.loom("publish", "order.placed", '"only"')
    app.loom("down")
    assert [event["data"] for event in app.events()] == ["only"]
    assert app.json("journal", "verify") == {"records": 1}
    assert app.loom("dlq", "list").returncode == 4, "who delivers has to run"


def test_wrong_use_is_named() -> None:
    run = CliRunner().invoke
    assert "is no time" in run(events, ["--since", "yesterday-ish"]).output
    settled = run(journal, ["settle", "writer", "1"])
    assert settled.exit_code == 2
    assert "--happened or --not" in settled.output


@pytest.mark.parametrize("command", [events, dlq, journal], ids=lambda command: command.name)
def test_help_has_examples(command: Any) -> None:
    shown = CliRunner().invoke(command, ["--help"]).output
    assert f"loom {command.name}" in shown.partition("Usage")[2].partition("\n")[2]
    for name in getattr(command, "commands", {}):
        assert f"loom {command.name} {name}" in CliRunner().invoke(command, [name, "--help"]).output
