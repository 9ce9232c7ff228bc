"""The JavaScript SDK keeps its promises, by its own tests, against a real runtime."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workspace import ROOT

SDK = ROOT / "sdk" / "js"
INSTALLED = SDK / "node_modules" / ".package-lock.json"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} (scripts/debian-packages.sh installs it)")
    return found


def run(*command: str | Path, **variables: str) -> str:
    """The output of *command* in the SDK's folder; it must succeed."""
    done = subprocess.run(
        command, cwd=SDK, env=os.environ | variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def node() -> str:
    """Node, with the packages that the lock file names."""
    found, npm = program("node"), program("npm")
    lock = SDK / "package-lock.json"
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < lock.stat().st_mtime:
        # With the user's own settings and cache: the tests' home has neither.
        home = pwd.getpwuid(os.getuid()).pw_dir
        run(npm, "ci", "--ignore-scripts", "--prefer-offline", HOME=home)
    return found


@pytest.mark.feature("BRG-07", "BUS-03", "COL-08", "ENV-01", "SDK-06")
def test_the_javascript_sdk_passes_its_tests(node: str) -> None:
    told = run(node, "--test", "--test-reporter=tap", LOOM_TEST_PYTHON=sys.executable)
    passed = re.search(r"^# pass (\d+)$", told, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 100, told  # it did find them


def test_the_types_of_the_javascript_sdk_are_right_and_can_be_written(
    node: str, tmp_path: Path
) -> None:
    run(node, SDK / "node_modules/typescript/bin/tsc", "--outDir", tmp_path)
    declared = (tmp_path / "agent.d.ts").read_text("utf-8")
    assert "export class Agent" in declared
    assert (tmp_path / "collaboration" / "index.d.ts").exists()


def test_the_javascript_lock_file_names_no_host() -> None:
    lock = (SDK / "package-lock.json").read_text("utf-8")
    assert '"resolved"' not in lock
    assert "://" not in lock
