"""The template for a tool in WebAssembly, generated, built and called as its README says."""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from loom import call_tool
from loom.contracts import ToolCall
from loom_kernel.testing import running


def make(parent: Path, lang: str) -> Path:
    """The folder of a new tool, built."""
    words = ["new", "wasm-tool", "letters", "--lang", lang, "--json"]
    command = [sys.executable, "-m", "loom_kernel", *words]
    said = subprocess.run(command, cwd=parent, capture_output=True, check=True, timeout=60)
    made = json.loads(said.stdout)
    folder = Path(parent, made["folder"])
    # npm with the user's own settings and cache: the tests' home has neither.
    home = {**os.environ, "HOME": pwd.getpwuid(os.getuid()).pw_dir}
    for step in made["next"][1:-1]:
        subprocess.run(
            step.split(), cwd=folder, env=home, capture_output=True, check=True, timeout=100
        )
    return folder


def packed(folder: Path) -> list[str]:
    """The files in the archive of the tool in *folder*."""
    command = [sys.executable, "-m", "loom_kernel", "tools", "pack", str(folder), "--json"]
    said = subprocess.run(command, cwd=folder.parent, capture_output=True, check=True, timeout=60)
    files: list[str] = json.loads(said.stdout)["files"]
    return files


@pytest.mark.feature("CLI-03", "PLG-02")
@pytest.mark.anyio
@pytest.mark.parametrize("lang", ["c", "assemblyscript"])
async def test_a_new_tool_builds_is_trusted_and_answers(tmp_path: Path, lang: str) -> None:
    folder = make(tmp_path, lang)
    assert packed(folder) == ["README.md", "loom-tool.toml", "tool.toml", "tool.wasm"]
    readme = (folder / "README.md").read_text("utf-8")
    (lines,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    async with running(
        "tools", "sandbox", "wasm", config=tomllib.loads(lines), project=tmp_path
    ) as runtime:
        owner = runtime.host("cli")
        asked = {"name": "letters"}
        seen = (await owner.request("wasm.module.examine", asked, timeout=60)).data
        accepted = {**asked, "digest": seen["digest"]}
        row = (await owner.request("wasm.module.trust", accepted, timeout=60)).data
        assert (row["state"], row["tools"]) == ("ready", ["letters:count"]), row
        call = ToolCall("letters:count", {"text": 'say\n"hello 42"'})
        result = await call_tool(runtime.host("caller"), call)
    assert result.output == 10, result
