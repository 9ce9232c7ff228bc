"""`loom doctor` on a healthy machine and on broken ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from loom_kernel.testing import check_plugin_contract


def doctor(*words: str, cwd: Path, code: int = 0) -> dict[str, dict[str, str]]:
    """The findings by check; the command must end with *code*."""
    command = [sys.executable, "-m", "loom_kernel", "doctor", "--json", *words]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return {finding["check"]: finding for finding in json.loads(done.stdout)}


@pytest.mark.anyio
async def test_the_plugin_keeps_its_contract() -> None:
    await check_plugin_contract("doctor")


def test_a_healthy_machine_is_told_so(tmp_path: Path) -> None:
    found = doctor(cwd=tmp_path)
    assert found["configuration"]["verdict"] == "ok"
    assert found["python"]["message"].endswith(sys.version.split()[0])
    assert not (tmp_path / ".loom").exists()


def test_a_wrong_configuration_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "loom.toml").write_text("[bus]\nrealtme = 1\n", "utf-8")
    found = doctor(cwd=tmp_path, code=1)
    assert "loom.toml:2" in found["configuration"]["message"]
    assert "did you mean 'realtime'?" in found["configuration"]["message"]


def test_a_state_folder_that_others_can_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "loom.toml").write_text('name = "x"\n', "utf-8")
    (tmp_path / ".loom").mkdir(mode=0o755)
    found = doctor(cwd=tmp_path)
    assert found["state"]["verdict"] == "warning"
    assert found["state"]["remedy"].startswith("chmod 700")


def test_people_get_lines_with_remedies(tmp_path: Path) -> None:
    (tmp_path / "loom.toml").write_text("nonsense", "utf-8")
    command = [sys.executable, "-m", "loom_kernel", "doctor"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "✗ configuration" in done.stdout


def test_the_sandbox_is_tried_and_not_only_looked_for(tmp_path: Path) -> None:
    found = doctor(cwd=tmp_path)["sandbox"]
    assert "bubblewrap works" in found["message"]


def test_a_program_that_cannot_confine_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho no namespaces here >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = doctor(cwd=tmp_path)["sandbox"]
    assert found["verdict"] == "warning"
    assert "no namespaces here" in found["message"]
    assert "bubblewrap" in found["remedy"]
