"""One server: started when it is trusted, watched, started again, given up when that is wiser."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from loom.processes import Restarts
from loom_kernel import Host, LoomError

from loom_plugin_mcp.asking import Questions
from loom_plugin_mcp.configuration import MODERN, Server
from loom_plugin_mcp.connection import Callbacks, connected, list_tools, reason_of
from loom_plugin_mcp.definitions import Definition
from loom_plugin_mcp.launch import Launch, find_launch
from loom_plugin_mcp.news import News
from loom_plugin_mcp.offer import Offer
from loom_plugin_mcp.settings import Settings
from loom_plugin_mcp.trust import Inspection, Trust, Verdict
from loom_plugin_mcp.wire import Once, ServerMisbehaves

if TYPE_CHECKING:
    from mcp.client.client import Client

State = Literal[
    "disabled", "untrusted", "starting", "running", "restarting", "quarantined", "stopped"
]
REFRESH = 1.0
"""Seconds between two listings of the tools of a server that says that they have changed."""


class Supervised:
    """Keeps one server as it should be; its connections live in the one task that runs `live`."""

    def __init__(self, host: Host, server: Server, trust: Trust, base: Path | None) -> None:
        self.server = server
        self.state: State = "stopped" if server.enabled else "disabled"
        self.reason = self.protocol = ""
        self.restarts = 0
        self.client: Client | None = None
        self.verdict = Verdict((), {})
        self._host = host
        self._trust = trust
        self._base = base
        self._settings: Settings = host.settings
        self._restarts = Restarts(self._settings, host.random)
        self._offer = Offer(host, server)
        self.news = News(host, server.name, self._tools_changed)
        self._listed: tuple[Launch, tuple[Definition, ...]] | None = None
        self._changed = asyncio.Event()
        self._starting: asyncio.Timeout | None = None
        self._is_wanted = True
        self._is_asked = self._are_tools_old = False

    def describe(self) -> dict[str, Any]:
        """How it is, in JSON values."""
        return {
            "server": self.server.name, "state": self.state, "protocol": self.protocol,
            "tools": self._offer.names, "withheld": dict(self.verdict.withheld),
            "restarts": self.restarts, "reason": self.reason,
        }  # fmt: skip

    # -- wishes ------------------------------------------------------------------------------

    async def expect(self) -> None:
        """Let calls of its tools wait for it."""
        await self._offer.expect(are_to_come=True)

    def restart(self) -> None:
        """Start it anew, also if it was given up; what is trusted is looked up again."""
        self._is_asked = True
        self._interrupt()

    def stop(self) -> None:
        """Let it end, and not come back."""
        self._is_wanted = False
        self._interrupt()

    def _interrupt(self) -> None:
        """Let whatever is waited for be over, a start included."""
        self._changed.set()
        if self._starting is not None and not self._starting.expired():
            self._starting.reschedule(0.0)

    def _tools_changed(self) -> None:
        self._are_tools_old = True
        self._changed.set()

    # -- life --------------------------------------------------------------------------------

    async def live(self) -> None:
        """Keep the server as it is wanted, until `stop`."""
        while self._is_wanted:
            self._is_asked = False
            try:
                launch = await self.find_launch()
                distrust = self._trust.distrust(self.server.name, launch)
            except LoomError as error:
                await self._rest("quarantined", str(error))
                continue
            if distrust:
                await self._rest("untrusted", distrust)
                continue
            self._enter("starting")
            await self.expect()
            began = self._host.clock.monotonic()
            failure = await self._run(launch)
            if self._is_wanted and not self._is_asked:
                await self._recover(failure, self._host.clock.monotonic() - began)
            else:
                self._restarts.reset()
        self._enter("stopped")

    async def _run(self, launch: Launch) -> str:
        """One connection from its start to its end; why it ended."""
        lost = Once(self._changed.set)
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._settings.start_timeout) as self._starting:
                    client = await stack.enter_async_context(self._connected(launch, lost))
                    listed = await self._list(client)
                self._starting = None
                await self._attend(client, launch, listed, lost)
        except ServerMisbehaves as error:
            return str(error)
        except Exception as error:
            self._host.log.debug("%s failed", self.server.name, exc_info=error)
            return lost.reason or reason_of(error)
        finally:
            self._starting = None
        return lost.reason

    def _connected(self, launch: Launch, lost: Once) -> Any:
        questions = Questions(self._host, self.server)
        callbacks = Callbacks(
            self.news.message,
            self.news.logged,
            questions.sample if self.server.sampling == "ask" else None,
            questions.elicit if self.server.elicitation == "ask" else None,
        )
        return connected(self._host, self.server, launch, callbacks, lost)

    async def _list(self, client: Client) -> tuple[Definition, ...]:
        self._are_tools_old = False
        return tuple(await list_tools(client, self.server, self._settings.max_tools))

    async def _attend(
        self, client: Client, launch: Launch, listed: tuple[Definition, ...], lost: Once
    ) -> None:
        """Offer its tools until it is lost, or something else is wanted."""
        self.client, self.protocol = client, client.protocol_version
        self.verdict = self._judge(launch, listed)
        listening = None
        if self.protocol.startswith(MODERN):
            listening = self._host.spawn(self.news.listen(client), f"{self.server.name}/listens")
        try:
            await self._offer.open(client, launch, lost, self.verdict.accepted)
            self._enter("running")
            while not (lost.has_happened or self._is_asked) and self._is_wanted:
                if self._are_tools_old:
                    await self._refresh(client, launch)
                await self._wait(REFRESH if self._are_tools_old else None)
        finally:
            self.client, self._listed = None, None
            await self._offer.close()
            if listening is not None:
                listening.cancel()
                await asyncio.wait((listening,))

    def _judge(self, launch: Launch, listed: tuple[Definition, ...]) -> Verdict:
        self._listed = launch, listed
        verdict = self._trust.judge(self.server.name, listed)
        for name, why in verdict.withheld.items():
            if self.verdict.withheld.get(name) != why:
                self._host.log.warning("%s:%s is not announced: %s", self.server.name, name, why)
        return verdict

    async def _refresh(self, client: Client, launch: Launch) -> None:
        """Its tools have changed: list them again, and offer those that were accepted."""
        async with asyncio.timeout(self._settings.start_timeout):
            self.verdict = self._judge(launch, await self._list(client))
        await self._offer.change(self.verdict.accepted)
        self.news.publish("tools.changed", {"tools": self._offer.names})
        await self._host.clock.sleep(REFRESH)

    # -- looking at it -----------------------------------------------------------------------

    async def find_launch(self) -> Launch:
        """What it comes down to here, now.

        Raises:
            ProgramMissing: there is no such program.
        """
        return await asyncio.to_thread(find_launch, self.server, self._base)

    async def inspect(self) -> Inspection:
        """What it is and brings now: of the running server, else of one that is started for this.

        Raises:
            LoomError: it cannot be started, or does not answer.
        """
        launch = await self.find_launch()
        if self._listed is not None and self._listed[0] == launch:
            return Inspection(*self._listed)
        return Inspection(launch, await self._look(launch))

    async def _look(self, launch: Launch) -> tuple[Definition, ...]:
        lost = Once(_nothing)
        try:
            async with AsyncExitStack() as stack, asyncio.timeout(self._settings.start_timeout):
                callbacks = Callbacks(_ignore, _ignore)
                client = await stack.enter_async_context(
                    connected(self._host, self.server, launch, callbacks, lost)
                )
                return tuple(await list_tools(client, self.server, self._settings.max_tools))
        except LoomError:
            raise
        except Exception as error:
            self._host.log.debug("%s failed", self.server.name, exc_info=error)
            problem = lost.reason or reason_of(error)
            raise ServerMisbehaves(f"{self.server.name!r}: {problem}") from error

    # -- waiting -----------------------------------------------------------------------------

    async def _recover(self, failure: str, lasted: float) -> None:
        """Wait until it may be started again."""
        now = self._host.clock.monotonic()
        delay = self._restarts.next_delay(now, lasted)
        if delay is None:
            await self._rest("quarantined", f"{failure}; it failed too often and is left alone")
            return
        self._host.log.warning("%s: %s; again in %.1f s", self.server.name, failure, delay)
        self._enter("restarting", failure)
        await self.expect()
        deadline = now + delay
        while self._is_wanted and not self._is_asked:
            if (left := deadline - self._host.clock.monotonic()) <= 0:
                break
            await self._wait(left)
        self.restarts += 1

    async def _rest(self, state: State, reason: str) -> None:
        """Stay in *state* until something is wished."""
        self._restarts.reset()
        self._host.log.warning("MCP server %s is %s: %s", self.server.name, state, reason)
        self._enter(state, reason)
        await self._offer.expect(are_to_come=False)
        while self._is_wanted and not self._is_asked:
            await self._wait(None)

    async def _wait(self, seconds: float | None) -> None:
        """Wait until something has changed, *seconds* at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    def _enter(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason
        self.news.publish("state", {"state": state, "reason": reason})


async def _ignore(said: Any) -> None:
    """What a server says while it is only looked at interests nobody."""


def _nothing() -> None:
    """Nobody is interested."""
