"""A real Loom for tests that cross processes: an app's folder, and the real `loom` command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from loom_kernel.testing import wait_until

LOOM = Path(sys.executable).with_name("loom")


def wait_for(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Wait until *condition* holds, as `wait_until` does, outside an event loop."""
    asyncio.run(wait_until(condition, timeout=timeout, every=0.02))


class Instance:
    """One app's folder with *plugins* (and `control`), driven through the command line.

    A folder that holds an app already is left as it is.
    """

    def __init__(self, folder: Path, *plugins: str, config: str = "") -> None:
        self.folder = folder
        self.state = folder / ".loom"
        self.environment: dict[str, str] = {}
        self._children: list[subprocess.Popen[str]] = []
        folder.mkdir(exist_ok=True)
        if (folder / "loom.toml").exists():
            return  # an app as it is
        names = json.dumps(["control", *plugins])
        (folder / "loom.toml").write_text(
            f'profile = "test"\n{config}\n[profiles.test]\nplugins = {names}\n'
        )

    def loom(
        self, *arguments: str, input: str | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run the command in the app's folder and wait for its end."""
        return subprocess.run(
            [LOOM, *arguments], cwd=self.folder, env=self._environment(), input=input,
            capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command in the app's folder; it is killed at the end of the test."""
        child = subprocess.Popen(
            [LOOM, *arguments], cwd=self.folder, env=self._environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._children.append(child)
        return child

    def up(self, *arguments: str) -> dict[str, Any]:
        """Start Loom in the background; what it says when it is ready."""
        done = self.loom("up", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def status(self) -> dict[str, Any]:
        """What `loom status` says; `{"state": "stopped"}` if nothing runs."""
        found: dict[str, Any] = json.loads(self.loom("status", "--json").stdout)
        return found

    def tail(self, *arguments: str) -> subprocess.Popen[str]:
        """A `loom tail --json` that watches already."""
        before = self.tails()
        child = self.start("tail", "--json", *arguments)
        wait_for(lambda: self.tails() > before)
        return child

    def tails(self) -> int:
        """How many clients watch."""
        return int(self.status()["plugins"]["control"]["metrics"]["tails"])

    def agents(self) -> dict[str, dict[str, Any]]:
        """What `loom agents` says of each, by id."""
        found = json.loads(self.loom("agents", "--json").stdout)
        return {agent["id"]: agent for agent in found}

    def log(self) -> str:
        """The log of the background instance."""
        return (self.state / "loom.log").read_text(encoding="utf-8")

    def add_plugin(self, name: str, code: str) -> None:
        """Install plugin *name*, whose entry module is *code*, for this instance only."""
        package = self.folder / "site" / f"probe_{name}"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "plugin.py").write_text(code)
        (package / "loom-plugin.toml").write_text(
            f'hook_api = 1\nname = "{name}"\nsummary = "For one test"\n'
        )
        metadata = package.parent / f"probe_{name}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: probe-{name}\nVersion: 1\n"
        )
        (metadata / "entry_points.txt").write_text(
            f"[loom.plugins]\n{name} = probe_{name}.plugin\n"
        )
        self.environment["PYTHONPATH"] = str(package.parent)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.loom("down", "--timeout", "5")
        for child in self._children:
            child.kill()
            child.communicate()


def events(lines: str | Sequence[str]) -> list[dict[str, Any]]:
    """The events that `loom tail --json` printed."""
    return [
        json.loads(line)
        for line in (lines.split("\n") if isinstance(lines, str) else lines)
        if line
    ]


def is_alive(pid: int) -> bool:
    """Whether process *pid* runs (a dead one that nobody has waited for does not)."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def kill(pid: int) -> None:
    """End *pid* as a crash would, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid))
