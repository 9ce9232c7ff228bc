"""Clients without a session: each call proves anew who it is."""

from __future__ import annotations

from collections.abc import Callable

from loom.bridge import Refused
from loom_kernel import Host

from loom_plugin_bridge.access import Grant
from loom_plugin_bridge.door import Door
from loom_plugin_bridge.tokens import Tokens

LOOK = 1.0
"""Seconds until a revoked token is noticed."""


class PlainClient:
    """Whoever holds a token, and the host that publishes and subscribes under its name."""

    def __init__(self, host: Host, grant: Grant) -> None:
        self.name = grant.name
        self.host = host
        self.grant = grant
        self.allows_publish = grant.may_publish
        self.allows_subscribe = grant.may_subscribe


class PlainClients:
    """The holders of tokens that made a call, until their tokens end."""

    def __init__(self, host: Host, door: Door, tokens: Tokens) -> None:
        self._host = host
        self._door = door
        self._tokens = tokens
        self._clients: dict[str, PlainClient] = {}

    def authenticate(self, token: str, origin: str) -> PlainClient:
        """Who holds *token*.

        Raises:
            Refused: nobody does, or it is confined to a namespace: those need a session.
        """
        grant = self._door.authenticate(token, origin)
        if grant.namespace:
            raise Refused(
                "PERMISSION_DENIED",
                f"token {grant.name!r} is confined to a namespace: open a session with it",
            )
        known = self._clients.get(grant.id)
        if known is None or known.grant != grant:
            known = self._clients[grant.id] = PlainClient(self._host.scope(grant.name), grant)
        return known

    async def watch(self, drop: Callable[[str], None]) -> None:
        """Call *drop* with the name of each client whose token was revoked or has expired."""
        while True:
            await self._host.clock.sleep(LOOK)
            for id, client in list(self._clients.items()):
                if not self._tokens.is_valid(client.grant):
                    del self._clients[id]
                    drop(client.name)
                    await client.host.aclose()
