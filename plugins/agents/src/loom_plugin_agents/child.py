"""One file of agents in a process: started, watched, started again, or left alone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from loom.contracts import AgentRecord, AgentState, Ticket
from loom.hosting import Order
from loom.processes import Output, Restarts
from loom_kernel import Host, LoomError

from loom_plugin_agents.process import ChildProcess, environment
from loom_plugin_agents.settings import Settings

#: States in which it stays until somebody or something changes that.
SETTLED: tuple[AgentState, ...] = (
    "running", "stopped", "finished", "restarting", "quarantined",
)  # fmt: skip

#: Seconds that a process whose connection is gone has to turn out to have ended.
LAST_BREATH = 0.25


class Child:
    """The process of one file, and what should become of it.

    created → starting → running → stopped | finished | restarting → starting … | quarantined
    """

    def __init__(self, host: Host, file: Path, on_known: Callable[[], None]) -> None:
        self.file = file
        self.origin = f"agents/{file.stem}"
        """The name of its token, which its agents' records show."""
        self.agents: tuple[str, ...] = ()
        """Ids of its agents, once they are known."""
        self.state: AgentState = "created"
        self.pid = self.restarts = 0
        self.reason = ""
        self.is_wanted = True
        self._host = host
        self._on_known = on_known
        self._settings: Settings = host.settings
        self._log = host.log.getChild(file.stem)
        self._restarts = Restarts(self._settings, host.random)
        self._created = host.clock.time()
        self._news = asyncio.Event()
        self._entered = asyncio.Event()
        self._asked = ""
        self._distrust = ""
        self._was_asked = False

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids under which it is found; the file's name as long as they are not known."""
        return self.agents or (self.file.stem,)

    def describe(self, record: AgentRecord) -> AgentRecord:
        """*record* of one of its agents, with what is known of the process."""
        state = record.state if self.state == "running" else self.state
        return msgspec.structs.replace(
            record, kind="process", state=state, pid=self.pid, restarts=self.restarts,
            reason=self.reason,
        )  # fmt: skip

    def record(self, id: str) -> AgentRecord:
        """What there is to say of agent *id* while it is not connected."""
        absent = AgentRecord(
            id=id, state="stopped", topics=(), capabilities=(), concurrency="", mailbox=0,
            waiting=0, handled=0, failed=0, rejected=0, created=self._created, last_active=0.0,
            status="disconnected", origin=self.origin,
        )  # fmt: skip
        return self.describe(absent)

    # -- wishes ------------------------------------------------------------------------------

    def start(self) -> None:
        """Let it run, also if it was stopped, has finished or is in quarantine."""
        was_wanted, self.is_wanted = self.is_wanted, True
        if was_wanted and self.state in ("running", "starting"):
            return
        self._restarts.reset()
        self._enter("starting")
        self._news.set()

    def stop(self) -> None:
        """Let it finish what it handles, and do not start it again."""
        self.is_wanted = False
        self._news.set()

    def restart(self, reason: str) -> None:
        """Replace the process by a new one."""
        self.is_wanted = True
        self._asked = reason
        self._restarts.reset()
        self._enter("restarting")
        self._news.set()

    def distrust(self, reason: str) -> None:
        """It is not heard any more: replace it unless it has just been started."""
        if self.state == "running":
            self._distrust = reason
            self._news.set()

    def refuse(self, reason: str) -> None:
        """It cannot be started at all."""
        self.reason = reason
        self._enter("quarantined")

    async def settled(self, *states: AgentState) -> None:
        """Wait until it is in one of *states*."""
        while self.state not in states:
            self._entered.clear()
            await self._entered.wait()

    # -- life --------------------------------------------------------------------------------

    async def live(self, ticket: Ticket) -> None:
        """Keep the process as it is wanted, until cancelled."""
        while True:
            if not self.is_wanted:
                await self._rest("stopped")
            self._asked = self._distrust = ""
            self._was_asked = False
            self._enter("starting")
            began = self._host.clock.monotonic()
            failure = await self._run(ticket)
            if not self.is_wanted:
                continue
            if self._was_asked:
                self.reason, self.restarts = self._asked or "it was asked for", self.restarts + 1
            elif failure:
                await self._recover(failure, self._host.clock.monotonic() - began)
            else:
                await self._finish()

    async def _run(self, ticket: Ticket) -> str:
        """One process from its start to its end; why it failed, if it did."""
        try:
            process = await self._start(ticket)
        except OSError as error:
            return f"it cannot be started: {error}"
        self.pid = process.pid
        try:
            return await self._attend(process)
        finally:
            self.pid = 0
            process.close()

    async def _start(self, ticket: Ticket) -> ChildProcess:
        settings, host = self._settings, self._host
        order = Order(
            address=ticket.address,
            token=ticket.token,
            file=str(self.file),
            app=str(self.file.parent.parent),
            parent=os.getpid(),
            tables=dict(host.tables.get("agents", {})),
            patience=settings.stop_timeout * 0.75,
        )
        return await ChildProcess.start(
            order,
            environment(os.environ, settings.environment),
            Output(self._log, host.clock, settings.output_rate).relay,
            host.spawn,
            self._news.set,
        )

    async def _attend(self, process: ChildProcess) -> str:
        """Watch *process* until it has ended, and end it when it should; why it failed."""
        settings, clock = self._settings, self._host.clock
        deadline = clock.monotonic() + settings.start_timeout
        problem = ""
        while process.code is None:
            self._learn(process)
            if process.is_ready and self.state == "starting":
                self._enter("running")
            if not self.is_wanted or self._asked:
                self._was_asked = True
                await process.end(settings.stop_timeout)
            elif self._distrust:
                if not await process.wait_ended(LAST_BREATH):  # its connection may end first
                    problem = self._distrust
                    await process.end(settings.kill_after)
            elif not process.is_ready and clock.monotonic() >= deadline:
                problem = f"its agents had not joined after {settings.start_timeout:g} s"
                await process.end(0.0)
            else:
                await self._wait_news(None if process.is_ready else deadline)
        await process.aclose()
        self._learn(process)
        return problem or process.error or _ending(process.code)

    def _learn(self, process: ChildProcess) -> None:
        """Take over what *process* said of its agents."""
        if process.agents not in ((), self.agents):
            self.agents = process.agents
            self._on_known()

    async def _wait_news(self, deadline: float | None = None) -> None:
        """Wait until something happens, or for *deadline* on the monotonic clock."""
        left = None if deadline is None else deadline - self._host.clock.monotonic()
        try:
            async with asyncio.timeout(left):
                await self._news.wait()
        except TimeoutError:
            return
        finally:
            self._news.clear()

    # -- after a process ---------------------------------------------------------------------

    async def _recover(self, failure: str, lasted: float) -> None:
        """Wait until it may be started again."""
        now = self._host.clock.monotonic()
        delay = self._restarts.next_delay(now, lasted)
        self.reason = failure
        if delay is not None:
            self._enter("restarting")
            self._log.warning("%s; started again in %.1f s", failure, delay)
            await self._tell("restarting", reason=failure, delay=delay, restarts=self.restarts)
        else:
            delay = self._settings.retry_after
            self._enter("quarantined")
            self._log.error("%s; it failed too often and is quarantined", failure)
            await self._tell("quarantined", reason=failure, restarts=self.restarts)
            self._restarts.reset()
        await self._wait_change(now + delay)
        self.restarts += self.is_wanted

    async def _finish(self) -> None:
        """It ended by itself and without a failure: that was its will."""
        self.is_wanted = False
        self.reason = "it ended by itself, with exit code 0"
        self._log.info("%s; it is not started again", self.reason)
        await self._tell("finished")
        await self._rest("finished")

    async def _rest(self, state: AgentState) -> None:
        """Stay in *state* until it is wanted again."""
        self._enter(state)
        while not self.is_wanted:
            await self._wait_news()

    async def _wait_change(self, deadline: float) -> None:
        """Wait for *deadline*, or until somebody wishes something."""
        clock, state = self._host.clock, self.state
        while self.is_wanted and not self._asked and self.state == state:
            if clock.monotonic() >= deadline:
                return
            await self._wait_news(deadline)

    def _enter(self, state: AgentState) -> None:
        self.state = state
        self._entered.set()

    async def _tell(self, what: str, **details: Any) -> None:
        for id in self.ids:
            try:
                await self._host.publish(f"agent.{id}.{what}", {"id": id, **details})
            except LoomError as late:  # the runtime is stopping
                self._log.debug("%s was not told: %s", what, late)


def _ending(code: int) -> str:
    """How a process ended, in words; nothing if it did so in order."""
    if code < 0:
        return f"it was killed by {signal.Signals(-code).name}"
    return f"it ended with exit code {code}" if code else ""
