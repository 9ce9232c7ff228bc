"""What a server says without being asked, as events: few enough that nobody drowns in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from loom_kernel import Host, LoomError

from loom_plugin_mcp.texts import clean

if TYPE_CHECKING:
    from mcp.client.client import Client
    from mcp_types import LoggingMessageNotificationParams

RATE = 20
"""Events a second of one server."""
BURST = 100
LONGEST = 8_000
"""Characters of a line in a server's log."""
LISTEN_AGAIN = 5.0
"""Seconds until we listen again after a stream of changes was lost."""
FOLLOWED = 256
"""Resources of one server that are followed."""
WRONG_LINES = 5
"""So many lines that are no messages are logged; of more, nobody would learn anything."""


class News:
    """Publishes what one server notifies; *on_tools* is told when its tools have changed."""

    def __init__(self, host: Host, name: str, on_tools: Callable[[], None]) -> None:
        self._host = host
        self._name = name
        self._on_tools = on_tools
        self._credit = float(BURST)
        self._last = host.clock.monotonic()
        self._untold = 0
        self._wrong = 0
        self._resources: set[str] = set()
        self._again = asyncio.Event()

    def publish(self, what: str, data: dict[str, Any]) -> None:
        """One event on `mcp.<server>.<what>`, which carries the label `untrusted`."""
        try:
            self._host.publish_nowait(f"mcp.{self._name}.{what}", data, labels=("untrusted",))
        except LoomError as error:
            self._host.log.debug("%s was not told: %s", what, error)

    # -- what the SDK calls ------------------------------------------------------------------

    async def message(self, message: Any) -> None:
        """A notification, or something that is none."""
        if isinstance(message, Exception):
            self._wrong += 1
            if self._wrong <= WRONG_LINES:
                self._host.log.warning("%s: %s", self._name, clean(str(message), 300))
            return
        match message.method:
            case "notifications/tools/list_changed":
                self._on_tools()
            case "notifications/resources/list_changed":
                self._limited("resources.changed", {})
            case "notifications/prompts/list_changed":
                self._limited("prompts.changed", {})
            case "notifications/resources/updated":
                self._limited("resource.updated", {"uri": clean(message.params.uri, 2_000)})

    async def logged(self, line: LoggingMessageNotificationParams) -> None:
        """A line of the server's log."""
        text = line.data if isinstance(line.data, str) else repr(line.data)[:LONGEST]
        logger = clean(line.logger or "", 100)
        self._limited(
            "logged", {"level": line.level, "logger": logger, "message": clean(text, LONGEST)}
        )

    def _limited(self, what: str, data: dict[str, Any]) -> None:
        now = self._host.clock.monotonic()
        self._credit = min(self._credit + (now - self._last) * RATE, float(BURST))
        self._last = now
        if self._credit < 1.0:
            self._untold += 1
            return
        self._credit -= 1.0
        more = {"untold": self._untold} if self._untold else {}
        self._untold = 0
        self.publish(what, data | more)

    # -- the streams of changes of 2026-07-28 ------------------------------------------------

    def follow(self, uri: str) -> None:
        """Let the next stream tell of changes of the resource *uri* too.

        Raises:
            LoomError: there are too many already.
        """
        if len(self._resources) >= FOLLOWED and uri not in self._resources:
            raise LoomError(f"{FOLLOWED} resources of {self._name!r} are followed already")
        self._resources.add(uri)
        self._again.set()

    async def listen(self, client: Client) -> None:
        """Keep a stream of changes open, until cancelled; what it brings, `message` is told."""
        from mcp import MCPError
        from mcp.client.subscriptions import SubscriptionLost

        while _tells_changes(client):
            self._again.clear()
            try:
                await self._listen_once(client)
            except (MCPError, SubscriptionLost, TimeoutError) as error:
                self._host.log.info("%s tells no changes now: %s", self._name, error)
                await self._host.clock.sleep(LISTEN_AGAIN)

    async def _listen_once(self, client: Client) -> None:
        """One stream, until it ends or another one is wanted."""
        can = client.server_capabilities
        stream = client.listen(
            tools_list_changed=can.tools is not None,
            prompts_list_changed=can.prompts is not None,
            resources_list_changed=can.resources is not None,
            resource_subscriptions=sorted(self._resources),
        )
        async with stream as changes:
            ended = self._host.spawn(_drained(changes), f"{self._name}/changes")
            wanted = self._host.spawn(self._again.wait(), f"{self._name}/again")
            try:
                await asyncio.wait((ended, wanted), return_when=asyncio.FIRST_COMPLETED)
            finally:
                ended.cancel()
                wanted.cancel()
        if not self._again.is_set():
            await self._host.clock.sleep(LISTEN_AGAIN)


def _tells_changes(client: Client) -> bool:
    """Whether the server says that it tells of anything."""
    can = client.server_capabilities
    lists = (can.tools, can.resources, can.prompts)
    is_following = can.resources is not None and bool(can.resources.subscribe)
    return is_following or any(one is not None and one.list_changed for one in lists)


async def _drained(changes: Any) -> None:
    """Take what *changes* brings: it reaches `News.message` as well."""
    from mcp.client.subscriptions import SubscriptionLost

    try:
        async for _ in changes:
            continue
    except SubscriptionLost:
        return
