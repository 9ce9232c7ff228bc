"""The four file tools: what a model is told about them, and what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar, TypeVarTuple

import anyio

from loom_plugin_native.beneath import MAX_ENTRIES, Workspace
from loom_plugin_native.contents import MAX_BYTES

Schema = Mapping[str, Any]
Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")
Handler = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]

_THREADS = 4

_PATH: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 4096,
    "description": "Names separated by '/', below the workspace, such as notes/today.md",
}


class ToolDescription(NamedTuple):
    """What a caller may know of a tool: its name, its schemas and the risk it carries."""

    name: str
    description: str
    parameters: Schema
    result: Schema
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = True
    version: str = "1.0"


def _object(**properties: Schema) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name, schema in properties.items() if "default" not in schema],
        "additionalProperties": False,
    }


_ENTRY = _object(
    name={"type": "string"},
    is_dir={"type": "boolean"},
    kind={"enum": ["file", "directory", "link", "other"]},
    size={"type": "integer", "minimum": 0, "description": "Bytes; 0 unless a file"},
)

READ_FILE = ToolDescription(
    name="fs:read_file",
    description=f"Read a UTF-8 text file of at most {MAX_BYTES >> 20} MiB from the workspace.",
    parameters=_object(path=_PATH),
    result=_object(content={"type": "string"}),
    read_only=True,
)

WRITE_FILE = ToolDescription(
    name="fs:write_file",
    description="Create or replace a text file in the workspace, with the directories it needs.",
    parameters=_object(path=_PATH, content={"type": "string"}),
    result=_object(
        success={"const": True},
        path={"type": "string"},
        bytes_written={"type": "integer", "minimum": 0},
    ),
    destructive=True,
)

LIST_DIR = ToolDescription(
    name="fs:list_dir",
    description=f"List one directory of the workspace by name, at most {MAX_ENTRIES} entries.",
    parameters=_object(path={**_PATH, "default": "."}),
    result=_object(
        path={"type": "string"},
        entries={"type": "array", "items": _ENTRY},
        truncated={"type": "boolean", "description": "The directory holds more"},
    ),
    read_only=True,
)

DELETE = ToolDescription(
    name="fs:delete",
    description="Delete a file or an empty directory from the workspace. There is no undo.",
    parameters=_object(path=_PATH),
    result=_object(
        success={"const": True},
        path={"type": "string"},
        was_directory={"type": "boolean"},
    ),
    destructive=True,
    idempotent=False,
)


class FileTools:
    """The handlers, over one workspace. They raise `WorkspaceError` where they refuse.

    Arguments have been validated against the schemas by who calls. The disk is waited for in
    threads, a few at once; a cancelled call still finishes what it began.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._limiter = anyio.CapacityLimiter(_THREADS)

    def handler(self, name: str) -> Handler:
        """The handler of the tool called *name*."""
        return {
            READ_FILE.name: self.read_file,
            WRITE_FILE.name: self.write_file,
            LIST_DIR.name: self.list_dir,
            DELETE.name: self.delete,
        }[name]

    async def read_file(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {"content": await self._run(self._workspace.read, arguments["path"])}

    async def write_file(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        path = arguments["path"]
        written = await self._run(self._workspace.write, path, arguments["content"])
        return {"success": True, "path": path, "bytes_written": written}

    async def list_dir(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        path = arguments.get("path", ".")
        listing = await self._run(self._workspace.list, path)
        entries = [
            {"name": name, "is_dir": kind == "directory", "kind": kind, "size": size}
            for name, kind, size in listing.entries
        ]
        return {"path": path, "entries": entries, "truncated": listing.truncated}

    async def delete(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        path = arguments["path"]
        deleted = await self._run(self._workspace.delete, path)
        return {"success": True, "path": path, "was_directory": deleted.was_directory}

    async def _run(
        self, operation: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        # Not anyio's threads: a loop with virtual time knows only asyncio's, and waits for those.
        async with self._limiter:
            return await asyncio.to_thread(operation, *arguments)


FILE_TOOLS = (READ_FILE, WRITE_FILE, LIST_DIR, DELETE)
