"""What providers offer, and what callers find: the list and the search."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from loom import ToolProvider
from loom.contracts import SEARCH, Provider, ToolCall, ToolDescriptor, ToolError
from loom_kernel import Envelope, Host, LoomError

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
        """Listen, and ask providers for their tools."""
        self._host.on("tool.list", handler=self._list, name="tools:list")
        self._host.on("tool.search", handler=self._find, name="tools:search")
        self._own.add(SEARCH, self._search_tool)
        await self._own.start()
        await self._host.publish("tool.provider.wanted")

    def offer(self, owner: str, tools: Iterable[ToolDescriptor], provider: Provider) -> None:
        """See `loom.contracts.Tools`."""
        taken = [tool for tool in tools if self._take(owner, tool)]
        self._registry.keep(owner, {(tool.name, tool.version) for tool in taken}, provider)
        news = {"owner": owner, "tools": [tool.name for tool in taken]}
        self._tell("tool.provider.announced", news)

    def leave(self, owner: str, provider: Provider) -> None:
        """See `loom.contracts.Tools`."""
        if self._registry.provider(owner) is provider:
            self._registry.leave(owner)
            self._tell("tool.provider.announced", {"owner": owner, "tools": []})

    def _take(self, owner: str, tool: ToolDescriptor) -> bool:
        try:
            self._validators.check_schema(tool)
            self._registry.add(msgspec.structs.replace(tool, owner=owner))
        except ToolError as error:
            self._host.log.error("tool refused: %s", error)
            news = {"owner": owner, "tool": tool.name, "reason": str(error)}
            self._tell("tool.provider.refused", news)
            return False
        return True

    def _tell(self, topic: str, news: dict[str, Any]) -> None:
        try:
            self._host.publish_nowait(topic, news)
        except LoomError as error:  # the runtime stops, or nobody reads
            self._host.log.debug("%s was not told: %s", topic, error)

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
