"""The four file tools: what a model is told about them, and what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

import anyio
from loom import ToolError, ToolProvider
from loom.contracts import Preparation, ToolCall, ToolDescriptor, ToolHints
from loom_kernel import Clock

from loom_plugin_native.beneath import MAX_ENTRIES, Deleted, Workspace
from loom_plugin_native.contents import MAX_BYTES
from loom_plugin_native.errors import WorkspaceError
from loom_plugin_native.history import Author, History

Schema = Mapping[str, Any]
Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")
Handler = Callable[[ToolCall], Awaitable[dict[str, Any]]]

_THREADS = 4

_PATH: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 4096,
    "description": "Names separated by '/', below the workspace, such as notes/today.md",
}


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

READ_FILE = ToolDescriptor(
    name="fs:read_file",
    description=f"Read a UTF-8 text file of at most {MAX_BYTES >> 20} MiB from the workspace.",
    parameters=_object(path=_PATH),
    result=_object(content={"type": "string"}),
    hints=ToolHints(read_only=True, idempotent=True),
    permissions=("fs.read",),
)

WRITE_FILE = ToolDescriptor(
    name="fs:write_file",
    description="Create or replace a text file in the workspace, with the directories it needs.",
    parameters=_object(path=_PATH, content={"type": "string"}),
    result=_object(
        success={"const": True},
        path={"type": "string"},
        bytes_written={"type": "integer", "minimum": 0},
    ),
    hints=ToolHints(destructive=True, idempotent=True),
    permissions=("fs.write",),
)

LIST_DIR = ToolDescriptor(
    name="fs:list_dir",
    description=f"List one directory of the workspace by name, at most {MAX_ENTRIES} entries.",
    parameters=_object(path={**_PATH, "default": "."}),
    result=_object(
        path={"type": "string"},
        entries={"type": "array", "items": _ENTRY},
        truncated={"type": "boolean", "description": "The directory holds more"},
    ),
    hints=ToolHints(read_only=True, idempotent=True),
    permissions=("fs.read",),
)

DELETE = ToolDescriptor(
    name="fs:delete",
    description="Delete a file or an empty directory from the workspace. A person can undo it.",
    parameters=_object(path=_PATH),
    result=_object(
        success={"const": True},
        path={"type": "string"},
        was_directory={"type": "boolean"},
    ),
    hints=ToolHints(destructive=True),
    permissions=("fs.write",),
)


class FileTools:
    """The handlers, over one workspace, whose changes *history* keeps.

    They raise `WorkspaceError` where they refuse. Arguments have been validated against the
    schemas by who calls. The disk is waited for in threads, a few at once; a cancelled call still
    finishes what it began.
    """

    def __init__(self, workspace: Workspace, history: History, clock: Clock) -> None:
        self._workspace = workspace
        self._history = history
        self._clock = clock
        self._limiter = anyio.CapacityLimiter(_THREADS)

    def offer(self, provider: ToolProvider) -> None:
        """Add all four tools to *provider*."""
        for tool in FILE_TOOLS:
            changes = "fs.write" in tool.permissions
            provider.add(tool, self._answer, self.prepare if changes else None)
        provider.aliases.update(ALIASES)

    async def _answer(self, call: ToolCall) -> dict[str, Any]:
        with refusals(call.name):
            return await self.handler(call.name)(call)

    async def prepare(self, call: ToolCall) -> Preparation:
        """What is there now, so that what is approved is what is replaced."""
        path = call.arguments["path"]
        with refusals(call.name):
            now = await self._run(self._workspace.look, path)
        was = f"{now.kind} of {now.size} bytes" if now.kind == "file" else now.kind
        if call.name == DELETE.name:
            summary = f"delete {path!r} (now: {was})"
        else:
            size = len(call.arguments["content"].encode(errors="replace"))
            summary = f"write {size} bytes to {path!r} (now: {was})"
        return Preparation(summary=summary, files={path: now.digest})

    def handler(self, name: str) -> Handler:
        """The handler of the tool called *name*."""
        return {
            READ_FILE.name: self.read_file,
            WRITE_FILE.name: self.write_file,
            LIST_DIR.name: self.list_dir,
            DELETE.name: self.delete,
        }[name]

    async def read_file(self, call: ToolCall) -> dict[str, Any]:
        return {"content": await self._run(self._workspace.read, call.arguments["path"])}

    async def write_file(self, call: ToolCall) -> dict[str, Any]:
        path, author = call.arguments["path"], self._author(call)
        written = await self._run(self._write, path, call.arguments["content"], author)
        return {"success": True, "path": path, "bytes_written": written}

    async def list_dir(self, call: ToolCall) -> dict[str, Any]:
        path = call.arguments.get("path", ".")
        listing = await self._run(self._workspace.list, path)
        entries = [
            {"name": name, "is_dir": kind == "directory", "kind": kind, "size": size}
            for name, kind, size in listing.entries
        ]
        return {"path": path, "entries": entries, "truncated": listing.truncated}

    async def delete(self, call: ToolCall) -> dict[str, Any]:
        path = call.arguments["path"]
        deleted = await self._run(self._delete, path, self._author(call))
        return {"success": True, "path": path, "was_directory": deleted.was_directory}

    def _author(self, call: ToolCall) -> Author:
        return Author(call.id, call.caller, call.name, self._clock.time())

    def _write(self, path: str, text: str, author: Author) -> int:
        with self._history.recording(path, author):
            return self._workspace.write(path, text)

    def _delete(self, path: str, author: Author) -> Deleted:
        with self._history.recording(path, author):
            return self._workspace.delete(path)

    async def _run(
        self, operation: Callable[[*Arguments], Result], *arguments: *Arguments
    ) -> Result:
        # Not anyio's threads: a loop with virtual time knows only asyncio's, and waits for those.
        async with self._limiter:
            return await asyncio.to_thread(operation, *arguments)


@contextmanager
def refusals(tool: str) -> Iterator[None]:
    """Hand on what the workspace refuses as the error of *tool*."""
    try:
        yield
    except WorkspaceError as refusal:
        details = {"reason": type(refusal).__name__}
        raise ToolError(tool, refusal.code, str(refusal), details) from refusal


ALIASES = {"fs:read": READ_FILE.name, "fs:write": WRITE_FILE.name, "fs:list": LIST_DIR.name}
FILE_TOOLS = (READ_FILE, WRITE_FILE, LIST_DIR, DELETE)
