"""All servers of the configuration: each in a task and under a name of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from loom.pins import Pins
from loom_kernel import Envelope, Health, Host, LoomError, detached

from loom_plugin_mcp.configuration import Server
from loom_plugin_mcp.trust import KIND, Trust

if TYPE_CHECKING:
    from loom_plugin_mcp.supervised import Supervised

PATIENCE = 2.75
"""Seconds that all servers together have to end, within what the kernel gives a plugin."""


class NoSuchServer(LoomError):
    """The configuration has no server of that name."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(
            f"there is no MCP server {name!r}; the configuration has: {', '.join(known) or 'none'}"
        )


class Keeper:
    """Runs the servers between `open`'s entering and leaving."""

    def __init__(self, host: Host, servers: list[Server]) -> None:
        self._host = host
        self.trust = Trust(Pins(host.world.paths, KIND))
        self._servers = {server.name: self._supervise(server) for server in servers}
        self._lives: list[asyncio.Task[None]] = []

    def _supervise(self, server: Server) -> Supervised:
        from loom_plugin_mcp.supervised import Supervised

        scope = self._host.scope(f"mcp/server/{server.name}")
        return Supervised(scope, server, self.trust, self._host.world.paths.project)

    def find(self, name: str) -> Supervised:
        """The server called *name*.

        Raises:
            NoSuchServer: there is none.
        """
        if name not in self._servers:
            raise NoSuchServer(name, sorted(self._servers))
        return self._servers[name]

    def describe(self) -> list[dict[str, Any]]:
        """How all servers are, by name."""
        return [self._servers[name].describe() for name in sorted(self._servers)]

    def health(self) -> Health:
        """Unhealthy while a server is given up."""
        lost = [one["server"] for one in self.describe() if one["state"] == "quarantined"]
        running = sum(one["state"] == "running" for one in self.describe())
        metrics = {"servers": float(len(self._servers)), "running": float(running)}
        if lost:
            return Health(False, f"given up: {', '.join(lost)}; see `loom mcp list`", metrics)
        return Health(message=f"{running} of {len(self._servers)} servers run", metrics=metrics)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Start the servers once the runtime is ready; end them all when this is left."""
        self._host.on("$loom.ready", handler=self._begin, name="mcp:ready")
        for one in self._servers.values():
            if one.server.enabled:
                await one.expect()
        try:
            yield
        finally:
            for one in self._servers.values():
                one.stop()
            if self._lives:
                await asyncio.wait(self._lives, timeout=PATIENCE)

    async def _begin(self, _: Envelope) -> None:
        """Begin after the others have announced their tools: no server takes a name from them.

        The SDK takes long to import; nobody waits for it.
        """
        await asyncio.to_thread(import_module, "mcp.client.client")
        with detached():  # what servers do is not caused by the runtime's being ready
            for name, one in self._servers.items():
                if one.server.enabled:
                    self._lives.append(self._host.spawn(one.live(), f"server/{name}"))
