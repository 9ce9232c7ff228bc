"""The JavaScript SDK keeps its promises, by its own tests, against a real runtime."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.node import SDK
from tests.conformance.node import node as installed_node


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
    return installed_node()


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
