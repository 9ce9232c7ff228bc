"""The file tools as a caller sees them: arguments in, result out, both as their schemas say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from loom.contracts import ToolCall
from loom_kernel.testing import VirtualClock
from loom_plugin_native.beneath import Workspace
from loom_plugin_native.errors import PathEscapes, WorkspaceError
from loom_plugin_native.history import History
from loom_plugin_native.tools import FILE_TOOLS, FileTools

pytestmark = [pytest.mark.anyio, pytest.mark.feature("NAT-01")]

TOOLS = {tool.name: tool for tool in FILE_TOOLS}


@pytest.fixture
def tools(folder: Path) -> Iterator[FileTools]:
    workspace = Workspace.open(folder)
    yield FileTools(workspace, History(workspace, folder.parent / "undo"), VirtualClock())
    workspace.close()


async def call(tools: FileTools, name: str, **arguments: Any) -> dict[str, Any]:
    Draft202012Validator(TOOLS[name].parameters).validate(arguments)
    result = await tools.handler(name)(ToolCall(name, arguments, "call", "1.0"))
    Draft202012Validator(TOOLS[name].result or {}).validate(result)
    return result


@pytest.mark.parametrize("tool", FILE_TOOLS, ids=lambda tool: tool.name)
def test_the_schemas_are_valid(tool: Any) -> None:
    Draft202012Validator.check_schema(tool.parameters)
    Draft202012Validator.check_schema(tool.result)


async def test_the_four_tools_work_together(tools: FileTools, folder: Path) -> None:
    written = await call(tools, "fs:write_file", path="notes/today.md", content="grüße")
    assert written == {"success": True, "path": "notes/today.md", "bytes_written": 7}
    assert await call(tools, "fs:read_file", path="notes/today.md") == {"content": "grüße"}
    assert await call(tools, "fs:list_dir", path="notes") == {
        "path": "notes",
        "entries": [{"name": "today.md", "is_dir": False, "kind": "file", "size": 7}],
        "truncated": False,
    }
    top = await call(tools, "fs:list_dir")
    assert top["entries"] == [{"name": "notes", "is_dir": True, "kind": "directory", "size": 0}]
    deleted = await call(tools, "fs:delete", path="notes/today.md")
    assert deleted == {"success": True, "path": "notes/today.md", "was_directory": False}
    assert (await call(tools, "fs:delete", path="notes"))["was_directory"]
    assert list(folder.iterdir()) == []


@pytest.mark.feature("SEC-01")
async def test_a_refusal_has_a_code(tools: FileTools) -> None:
    with pytest.raises(PathEscapes) as refusal:
        await call(tools, "fs:read_file", path="../secret")
    assert refusal.value.code == "PERMISSION_DENIED"
    with pytest.raises(WorkspaceError) as missing:
        await call(tools, "fs:read_file", path="missing")
    assert missing.value.code == "ACTION_ERROR"


def test_the_risk_of_each_tool_is_declared() -> None:
    assert {name for name, tool in TOOLS.items() if tool.hints.read_only} == {
        "fs:read_file",
        "fs:list_dir",
    }
    assert {name for name, tool in TOOLS.items() if tool.hints.destructive} == {
        "fs:write_file",
        "fs:delete",
    }
