"""Which tools there are, in which versions, and who answers for them."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Collection
from contextlib import suppress

from loom.contracts import Provider, ToolDescriptor, ToolError

LOADING = 10.0
"""Seconds that a call waits for a tool that its provider still loads."""
REMEMBERED = 1024
"""Tools of providers that are gone."""


class Registry:
    """Descriptors by name and version. A provider that announces again replaces its own."""

    def __init__(self) -> None:
        self._tools: dict[str, dict[str, ToolDescriptor]] = {}
        self._providers: dict[str, Provider] = {}
        self._aliases: dict[str, str] = {}
        """Other names of tools, with the names that they bear."""
        self._gone: dict[str, str] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self.generation = 0
        """Rises with every change."""

    def add(self, descriptor: ToolDescriptor) -> None:
        """Take *descriptor* in.

        Raises:
            ToolError: CAPABILITY_ERROR, another provider holds that name and version.
        """
        versions = self._tools.setdefault(descriptor.name, {})
        holder = versions.get(descriptor.version)
        if holder is not None and holder.owner != descriptor.owner:
            raise ToolError(
                descriptor.name,
                "CAPABILITY_ERROR",
                f"version {descriptor.version} is provided by {holder.owner!r} already; "
                f"{descriptor.owner!r} needs another name or version",
            )
        versions[descriptor.version] = descriptor
        self._gone.pop(descriptor.name, None)
        self.generation += 1

    def keep(
        self, owner: str, offered: Collection[tuple[str, str]], provider: Provider | None
    ) -> None:
        """Forget *owner*'s tools but those *offered* (names and versions); *provider* runs them."""
        self._providers.pop(owner, None)
        if provider is not None:
            self._providers[owner] = provider
        for name, versions in list(self._tools.items()):
            for version, found in list(versions.items()):
                if found.owner == owner and (name, version) not in offered:
                    del versions[version]
                    self.generation += 1
            if not versions:
                del self._tools[name]
        self._aliases = {
            alias: name
            for holder, known in self._providers.items()
            for alias, name in known.aliases.items()
            if any(tool.owner == holder for tool in self._tools.get(name, {}).values())
        }
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def provider(self, owner: str) -> Provider | None:
        """Who runs what *owner* provides."""
        return self._providers.get(owner)

    def leave(self, owner: str) -> None:
        """Forget *owner*'s tools, but remember that it had them."""
        for tool in self.list():
            if tool.owner == owner:
                self._gone[tool.name] = owner
        while len(self._gone) > REMEMBERED:
            del self._gone[next(iter(self._gone))]
        self.keep(owner, (), None)

    def list(self, name: str = "", provider: str = "") -> list[ToolDescriptor]:
        """All that fit, by name and then from the highest version down."""
        return [
            found
            for known in ([self._own(name)] if name else sorted(self._tools))
            for found in sorted(self._tools.get(known, {}).values(), key=_rank, reverse=True)
            if provider in ("", found.provider)
        ]

    async def find(self, name: str, version: str = "") -> ToolDescriptor:
        """`resolve`, but wait first if it may be among the tools that are still to come."""
        if self._own(name) not in self._tools and self._is_awaited(name):
            await self._wait_for(name)
        return self.resolve(name, version)

    async def _wait_for(self, name: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOADING):
                while self._own(name) not in self._tools and self._is_awaited(name):
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiting.append(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiting.remove(waiter)

    def _own(self, name: str) -> str:
        """The name of the tool that *name* stands for."""
        return name if name in self._tools else self._aliases.get(name, name)

    def _is_awaited(self, name: str) -> bool:
        namespace = name.partition(":")[0]
        return any(namespace in provider.awaited for provider in self._providers.values())

    def resolve(self, name: str, version: str = "") -> ToolDescriptor:
        """The highest version that begins with *version* (whole numbers: `1` takes 1.10, not 10).

        Raises:
            ToolError: CAPABILITY_ERROR, there is none, and the message says what there is;
                PROVIDER_UNAVAILABLE, whoever provided it is gone.
        """
        candidates = self.list(name)
        if not candidates and (owner := self._gone.get(name)):
            raise ToolError(name, "PROVIDER_UNAVAILABLE", f"{owner!r} is gone; start it again")
        if not candidates:
            near = difflib.get_close_matches(name, list(self._tools), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ToolError(name, "CAPABILITY_ERROR", f"there is no tool {name!r}{hint}")
        wanted = version.split(".") if version else []
        for found in candidates:
            if found.version.split(".")[: len(wanted)] == wanted:
                return found
        known = ", ".join(found.version for found in candidates)
        raise ToolError(name, "CAPABILITY_ERROR", f"no version {version!r}; there is {known}")


def _rank(descriptor: ToolDescriptor) -> tuple[tuple[int, str], ...]:
    """Versions in order: 1.9 < 1.10; what is no number comes before numbers."""
    return tuple(
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in descriptor.version.split(".")
    )
