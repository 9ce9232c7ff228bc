"""What MCP clients get of a runtime: the tools and topics that the owner named, nothing else."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from loom import call_tool
from loom.contracts import ToolCall, ToolDescriptor, ToolResult
from loom_kernel import ConfigError, Envelope, Host, LoomError, check_pattern

from loom_plugin_mcp.settings import Settings

WIRE_NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")
CLIENT = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
SCHEME = "loom://topic/"
KEPT = 100
"""Events of one topic that are kept to be read."""
MOST_CLIENTS = 64


class House(Protocol):
    """A runtime, from in front of it or from within."""

    async def tools(self) -> list[dict[str, Any]]:
        """The tools that are served: `name` (on the wire), `description`, `schema`, hints."""
        ...

    async def call(self, name: str, arguments: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """Run the tool that is called *name* on the wire: `code`, `output`, `message`."""
        ...

    async def resources(self) -> list[str]:
        """The addresses of what can be read."""
        ...

    async def read(self, uri: str) -> str | None:
        """One of them, as JSON; None if there is no such one."""
        ...


class Exposure:
    """The part of a runtime that is served; each client acts under a name of its own.

    Raises:
        ConfigError: a tool cannot be served under a name of its own, or a topic is none.
    """

    def __init__(self, host: Host) -> None:
        settings: Settings = host.settings
        self._host = host
        self._names = _wire_names(settings.serve)
        self._scopes: dict[str, Host] = {}
        self._events: dict[str, deque[dict[str, Any]]] = {}
        for pattern in settings.topics:
            try:
                self._events[check_pattern(pattern)] = deque(maxlen=KEPT)
            except LoomError as error:
                raise ConfigError(f"'topics' in [plugins.mcp]: {error}") from error

    def listen(self) -> None:
        """Keep what comes on the topics that are served."""
        for pattern, kept in self._events.items():

            async def keep(envelope: Envelope, kept: deque[dict[str, Any]] = kept) -> None:
                kept.append(_event(envelope))

            self._host.on(pattern, handler=keep, name=f"mcp:serves {pattern}")

    async def tools(self) -> list[dict[str, Any]]:
        """The served tools that are there now, in their highest versions."""
        found: list[ToolDescriptor] = (await self._host.request("tool.list", {})).data["tools"]
        listed: dict[str, dict[str, Any]] = {}
        for one in found:
            if (wire := self._wire(one.name)) and wire not in listed:
                listed[wire] = {
                    "name": wire, "title": one.name, "description": one.description,
                    "schema": one.parameters, "hints": msgspec.to_builtins(one.hints),
                }  # fmt: skip
        return list(listed.values())

    async def call(
        self, client: str, name: str, arguments: Mapping[str, Any], reason: str
    ) -> dict[str, Any]:
        """Run a served tool through the broker, as *client*."""
        if name not in self._names:
            return {"code": "CAPABILITY_ERROR", "message": f"there is no tool {name!r} here"}
        call = ToolCall(self._names[name], arguments, reason=reason)
        result: ToolResult = await call_tool(self._scope(client), call)
        message = result.error.message if result.error else ""
        output = msgspec.to_builtins(result.output)
        return {"code": result.code, "output": output, "message": message}

    def resources(self) -> list[str]:
        """The addresses of the topics that are served."""
        return [SCHEME + pattern for pattern in self._events]

    def read(self, uri: str) -> list[dict[str, Any]] | None:
        """The last events of a topic, the oldest first."""
        kept = self._events.get(uri.removeprefix(SCHEME)) if uri.startswith(SCHEME) else None
        return None if kept is None else list(kept)

    def _wire(self, name: str) -> str:
        wire = wire_name(name)
        return wire if self._names.get(wire) == name else ""

    def _scope(self, client: str) -> Host:
        """The host under whose name *client* acts."""
        if not CLIENT.fullmatch(client):
            raise LoomError(f"{client!r} is no name for a client: lower-case letters and digits")
        if client not in self._scopes:
            if len(self._scopes) >= MOST_CLIENTS:
                raise LoomError(f"there are {MOST_CLIENTS} clients already")
            self._scopes[client] = self._host.scope(f"mcp/client/{client}")
        return self._scopes[client]


def wire_name(name: str) -> str:
    """A tool's name where colons are not allowed: `fs:read_file` is `fs__read_file`."""
    return name.replace(":", "__")


def _wire_names(served: list[str]) -> dict[str, str]:
    """Name on the wire → name."""
    names: dict[str, str] = {}
    for name in served:
        if not isinstance(name, str) or not WIRE_NAME.fullmatch(wire_name(name)):
            raise ConfigError(f"'serve' in [plugins.mcp]: {name!r} is no name of a tool")
        if names.setdefault(wire_name(name), name) != name:
            raise ConfigError(
                f"'serve' in [plugins.mcp]: {name!r} and {names[wire_name(name)]!r} would both be "
                f"{wire_name(name)!r}; serve one of them"
            )
    return names


def _event(envelope: Envelope) -> dict[str, Any]:
    return {
        "id": envelope.id, "topic": envelope.topic, "type": envelope.type,
        "time": envelope.time, "sender": envelope.sender, "subject": envelope.subject,
        "labels": sorted(envelope.labels), "data": envelope.data,
    }  # fmt: skip
