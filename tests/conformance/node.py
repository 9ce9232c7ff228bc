"""Node, with the packages of the JavaScript SDK."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from workspace import ROOT

SDK = ROOT / "sdk" / "js"
INSTALLED = Path("node_modules", ".package-lock.json")


def program(name: str) -> str:
    """Where program *name* is; without it the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} (scripts/debian-packages.sh installs it)")
    return found


def node() -> str:
    """Node, after the packages that the lock file names have been installed."""
    found = program("node")
    install(SDK)
    return found


def install(project: Path) -> None:
    """Install what the lock file of *project* names, if it is not there; one at a time."""
    npm = program("npm")
    installed, locked = project / INSTALLED, project / "package-lock.json"
    marker = Path(tempfile.gettempdir(), f"loom-npm-{os.getuid()}.lock")
    with marker.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
            # With the user's own settings and cache: the tests' home has neither.
            home = pwd.getpwuid(os.getuid()).pw_dir
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--prefer-offline"],
                cwd=project, env=os.environ | {"HOME": home}, capture_output=True, check=True,
            )  # fmt: skip
