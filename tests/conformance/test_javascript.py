"""The JavaScript SDK keeps the promises of the golden vectors, by its own tests."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from workspace import ROOT

SDK = ROOT / "sdk" / "js"


@pytest.mark.feature("ENV-01", "BUS-03")
def test_the_javascript_sdk_passes_its_tests() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node (scripts/debian-packages.sh installs it)")
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap"], cwd=SDK, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 30, done.stdout  # it did find them
