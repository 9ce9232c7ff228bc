"""The file tools inside a real runtime, called through the broker."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from loom import call_tool
from loom.contracts import ToolCall, ToolResult
from loom_kernel import Runtime
from loom_kernel.testing import check_plugin_contract

from plugins.native.tests.granted import granted

pytestmark = [pytest.mark.anyio, pytest.mark.feature("NAT-01")]


async def call(runtime: Runtime, name: str, **arguments: Any) -> ToolResult:
    return await call_tool(runtime.host("caller"), ToolCall(name, arguments))


async def test_the_plugin_keeps_its_contract() -> None:
    await check_plugin_contract("native")


async def test_files_are_written_read_listed_and_deleted(folder: Path) -> None:
    async with granted("native", "tools", project=folder) as runtime:
        written = await call(runtime, "fs:write_file", path="notes/a.md", content="grüße")
        assert written.output == {"success": True, "path": "notes/a.md", "bytes_written": 7}
        assert (folder / "workspace/notes/a.md").read_text() == "grüße"
        read = await call(runtime, "fs:read_file", path="notes/a.md")
        assert read.output == {"content": "grüße"}
        listed = await call(runtime, "fs:list_dir")
        assert [entry["name"] for entry in listed.output["entries"]] == ["notes"]
        assert (await call(runtime, "fs:delete", path="notes/a.md")).is_ok
        deleted = await call(runtime, "fs:delete", path="notes")
        assert deleted.output["was_directory"]
        assert list((folder / "workspace").iterdir()) == []


@pytest.mark.feature("SEC-01")
@pytest.mark.parametrize("path", ["../secret.txt", "{folder}/secret.txt", "link/secret.txt"])
async def test_what_is_outside_is_refused(folder: Path, path: str) -> None:
    (folder / "secret.txt").write_text("secret")
    (folder / "workspace").mkdir()
    (folder / "workspace/link").symlink_to(folder)
    async with granted("native", "tools", project=folder) as runtime:
        for name, more in (("read_file", {}), ("write_file", {"content": "x"}), ("delete", {})):
            result = await call(runtime, f"fs:{name}", path=path.format(folder=folder), **more)
            assert result.code == "PERMISSION_DENIED"
            assert result.error is not None
            assert str(folder) not in result.error.message
    assert (folder / "secret.txt").read_text() == "secret"


async def test_the_workspace_can_be_chosen(folder: Path) -> None:
    config = {"workspace": {"root": str(folder / "chosen")}}
    async with granted("native", "tools", config=config) as runtime:
        assert (await call(runtime, "fs:write_file", path="a", content="")).is_ok
        assert "chosen" in runtime.health()["native"].message
    assert (folder / "chosen/a").exists()
    assert (folder / "chosen").stat().st_mode & 0o777 == 0o700


README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = [part.partition("```")[0] for part in README.split("```toml\n")[1:]]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
async def test_the_examples_of_the_readme_work(folder: Path, example: str) -> None:
    async with granted("native", config=tomllib.loads(example), project=folder) as runtime:
        assert runtime.health()["native"].healthy
    assert (folder / "workspace").is_dir()
