"""What providers announce and withdraw, and what callers find: the list and the search."""

from __future__ import annotations

from typing import Any

import msgspec
from loom import ToolProvider
from loom.contracts import SEARCH, ToolCall, ToolDescriptor, ToolError
from loom_kernel import Envelope, Host

from loom_plugin_tools.discovery import Search
from loom_plugin_tools.registry import Registry
from loom_plugin_tools.validation import Validators


class Announcements:
    """Keeps the registry up to date, and answers who asks for tools."""

    def __init__(self, host: Host, registry: Registry, validators: Validators) -> None:
        self._host = host
        self._registry = registry
        self._validators = validators
        self._search = Search(registry)
        self._own = ToolProvider(host)

    async def start(self) -> None:
        """Listen, and ask providers to announce themselves."""
        self._host.on("tool.provider.announced", handler=self._announced, name="tools:announced")
        self._host.on("tool.provider.withdrawn", handler=self._withdrawn, name="tools:withdrawn")
        self._host.on("tool.list", handler=self._list, name="tools:list")
        self._host.on("tool.search", handler=self._find, name="tools:search")
        self._own.add(SEARCH, self._search_tool)
        await self._own.start()
        await self._host.publish("tool.provider.wanted")

    async def _announced(self, envelope: Envelope) -> None:
        offered: set[tuple[str, str]] = set()
        for raw in envelope.data["tools"]:
            found = raw if isinstance(raw, ToolDescriptor) else msgspec.convert(raw, ToolDescriptor)
            found = msgspec.structs.replace(found, owner=envelope.sender)
            offered.add((found.name, found.version))
            await self._take(found)
        if envelope.data.get("all"):
            self._registry.keep(envelope.sender, offered)

    async def _take(self, found: ToolDescriptor) -> None:
        try:
            self._validators.check_schema(found)
            self._registry.add(found)
        except ToolError as error:
            self._host.log.error("tool refused: %s", error)
            news = {"tool": found.name, "reason": str(error)}
            await self._host.publish("tool.provider.refused", news)

    async def _withdrawn(self, envelope: Envelope) -> None:
        self._registry.remove(envelope.sender, envelope.data["tools"])

    async def _list(self, envelope: Envelope) -> None:
        asked = envelope.data if isinstance(envelope.data, dict) else {}
        name, provider = asked.get("name", ""), asked.get("provider", "")
        tools = self._registry.list(name, provider)
        if not name:  # the search is how to find tools, not one of those to be found
            tools = [tool for tool in tools if tool.name != SEARCH.name]
        await self._host.reply(envelope, {"tools": tools})

    async def _search_tool(self, call: ToolCall) -> dict[str, Any]:
        found = self._search.find(call.arguments["query"], call.arguments.get("limit", 8))
        tools = [
            {"name": one.name, "description": one.description, "parameters": one.parameters}
            for one in found
        ]
        return {"tools": tools}

    async def _find(self, envelope: Envelope) -> None:
        asked: dict[str, Any] = envelope.data if isinstance(envelope.data, dict) else {}
        found = self._search.find(str(asked.get("query", "")), int(asked.get("limit", 8)))
        await self._host.reply(envelope, {"tools": found, "all": self._search.count})
