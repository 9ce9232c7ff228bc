"""A terminal, and an agent that says what it hears. Approvals: tests/e2e/test_chat.py."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LOOM = Path(sys.executable).with_name("loom")
README = Path(__file__).parents[1] / "README.md"
pytestmark = pytest.mark.feature("CLI-02")


@pytest.fixture
def app(home: Path) -> Iterator[Path]:
    folder = home / "app"
    (folder / "agents").mkdir(parents=True)
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    (folder / "agents" / "parrot.py").write_text(block)
    (folder / "loom.toml").write_text(
        'profile = "test"\n[profiles.test]\nplugins = ["agents", "chat", "control", "tools"]\n'
    )
    yield folder
    run(folder, "down")


def run(app: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOOM, *words], cwd=app, input=typed, capture_output=True, text=True, timeout=90,
        check=False,
    )  # fmt: skip


def test_the_agent_of_the_readme_says_what_it_hears(app: Path) -> None:
    done = run(app, "chat", "--agent", "parrot", typed="Hello\n/history\nand again\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["Hello", "and again"]
    assert json.loads(run(app, "status", "--json").stdout)["state"] == "stopped"


def test_what_is_told_is_no_order_to_the_terminal(app: Path) -> None:
    done = run(app, "chat", "--agent", "parrot", "--once", "\x1b]0;owned\x07\x1b[2J red")
    assert done.stdout == "\\x1b]0;owned\\x07\\x1b[2J red\n"


def test_a_loom_that_runs_is_left_running(app: Path) -> None:
    assert run(app, "up").returncode == 0
    said = run(app, "chat", "--agent", "parrot", "--once", "Hello", "--json")
    assert [json.loads(line)["kind"] for line in said.stdout.splitlines()] == ["answered"]
    assert json.loads(run(app, "status", "--json").stdout)["state"] == "ready"


def test_nobody_there_is_said(app: Path) -> None:
    done = run(app, "chat", "--agent", "nobody", "--patience", "0.5", "--once", "Hello")
    assert done.returncode == 2
    assert "no agent 'nobody' takes part" in done.stderr


def test_a_folder_without_an_app_is_said(app: Path) -> None:
    done = run(app, "chat", "agents")
    assert done.returncode == 2
    assert "holds no loom.toml" in done.stderr
