"""One plugin in a process of its own: started, watched, started again, or left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import grpc
import msgspec
from loom.plugin.wire import pb
from loom.processes import Restarts
from loom_kernel import Host, LoomError

from loom_plugin_process.answers import Answer, Refusal, hold
from loom_plugin_process.failures import reason_of
from loom_plugin_process.feed import Feed
from loom_plugin_process.health import Checks
from loom_plugin_process.launch import Launched
from loom_plugin_process.line import Line
from loom_plugin_process.offers import Offers
from loom_plugin_process.pace import Pace
from loom_plugin_process.program import Located, Program
from loom_plugin_process.settings import Settings
from loom_plugin_process.trust import Inspection, inspect, trust
from loom_plugin_process.wishes import Wishes

State = Literal[
    "created",
    "untrusted",
    "starting",
    "running",
    "restarting",
    "quarantined",
    "stopped",
    "disabled",
]
AT_THE_END = 1.0
"""Seconds for each step of an orderly end: the runtime gives its plugins three in all."""
SLACK = 0.5
"""Seconds by which an RPC may be later than what it is about."""


class Resident:
    """What should become of one program, and what has.

    created → starting → running → stopped | restarting → starting … | quarantined
    untrusted: it waits until somebody has looked at what would run.
    """

    def __init__(self, host: Host, program: Program, tell: Callable[..., Any]) -> None:
        self.name = host.name
        self.program = program
        self.state: State = "created" if program.enabled else "disabled"
        self.reason = "" if program.enabled else f"[process.{host.name}] enabled = false"
        self.pid = self.restarts = 0
        self.answer = Answer("", (), [], frozenset(), (), [])
        self._host = host
        self._tell = tell
        self._settings: Settings = host.settings
        self._restarts = Restarts(self._settings, host.random)
        self._entered = asyncio.Event()
        self._wishes = Wishes(host.clock, program.enabled)
        self._was_asked = False
        self._is_up = False
        pace = Pace(host.clock, program.events)
        self._checks = Checks(host, self._is_waited_for, self._wishes.wake)
        self._offers = Offers(host, program.calls, pace, self._checks.unfinished)
        self._feed = Feed(host, program, pace, self.refuse, self._checks.unfinished)

    # -- wishes ------------------------------------------------------------------------------

    async def expect(self) -> None:
        """Let calls of its tools wait for its first start."""
        if self.program.enabled:
            await self._offers.expect(are_to_come=True)

    def restart(self, reason: str) -> None:
        """Replace the process by a new one, whatever state it is in."""
        self._restarts.reset()
        self._enter("starting")
        self._wishes.replace(reason)

    def stop(self) -> None:
        """Let it finish what runs, and do not start it again."""
        self._wishes.stop()

    def let_go(self) -> None:
        """Let no event wait for it if it does not run."""
        if not self._is_up:
            self._feed.close()

    def refuse(self, refusal: Refusal) -> None:
        """Tell that the plugin asked for, or did, what it was not granted."""
        self._host.log.warning("refused: %s %s: %s", *refusal)
        self._tell("plugin.refused", plugin=self.name, **refusal._asdict())

    def record(self) -> dict[str, Any]:
        """What there is to say of it."""
        answer = self.answer
        return {
            "name": self.name,
            "state": self.state,
            "pid": self.pid,
            "restarts": self.restarts,
            "reason": self.reason or self._checks.message,
            "tools": self._offers.names,
            "types": list(answer.types),
            "version": answer.version,
            "patterns": list(answer.patterns),
            "refused": [" ".join(refusal[:2]) for refusal in answer.refused],
            "calls": self._offers.running.total(),
            "events": {
                "handled": self._feed.handled,
                "failed": self._feed.failed,
                "published": self._feed.published,
            },
        }

    def inspect(self) -> Inspection:
        """Look at what would run. Blocks; see `trust.inspect`."""
        return inspect(self.name, self.program, self._host.world.paths)

    def trust(self, found: dict[str, Any]) -> None:
        """Pin *found*: from now on exactly that may run. Blocks."""
        trust(self.name, found, self._host.world.paths)

    async def settled(self, *states: State) -> None:
        """Wait until it is in one of *states*."""
        while self.state not in states:
            self._entered.clear()
            await self._entered.wait()

    # -- life --------------------------------------------------------------------------------

    async def live(self) -> None:
        """Keep the process as it is wanted, until cancelled."""
        wishes = self._wishes
        while True:
            if not wishes.is_wanted:
                await self._rest("disabled" if not self.program.enabled else "stopped")
            located = await self._look()
            if located is None:
                continue
            self._was_asked = False
            self._enter("starting")
            began = self._host.clock.monotonic()
            failure = await self._run(located)
            if self._was_asked:
                self.reason, self.restarts = wishes.asked, self.restarts + 1
            elif wishes.is_wanted:
                await self._recover(failure, self._host.clock.monotonic() - began)

    async def _look(self) -> Located | None:
        """What may run; if it was not trusted or is not there, wait first, and look again."""
        self._wishes.asked = ""
        try:
            seen = await asyncio.to_thread(self.inspect)
        except (LoomError, OSError) as error:
            await self._recover(str(error), 0.0)
            return None
        if not seen.changes:
            return seen.located
        self.reason = f"{seen.changes[0]}; look at it with: loom process trust {self.name}"
        await self._withdraw()
        self._enter("untrusted")
        self._host.log.warning("not started: %s", self.reason)
        self._tell_state(changes=seen.changes[:20])
        while not self._wishes.is_end:
            await self._wishes.wait()
        return None

    async def _run(self, located: Located) -> str:
        """One process from its start to its end; why it failed."""
        launched: Launched | None = None
        try:
            launched = await Launched.start(
                self._host, self.program, located, self._settings.output_rate
            )
            self.pid = launched.process.pid
            line = await self._begin(launched)
            return await self._attend(launched, line)
        except TimeoutError:  # also an OSError
            return _too_late(launched, self._settings.start_timeout)
        except (LoomError, OSError, ValueError) as error:
            return str(error)
        finally:
            self.pid = 0
            if launched is not None:
                await launched.aclose()

    async def _begin(self, launched: Launched) -> Line:
        """Let the plugin introduce itself, and offer what it offers."""
        seconds = self._settings.start_timeout
        async with asyncio.timeout(seconds):
            line = await launched.introduce(self._host, self.program)
            request = pb.InitRequest(
                name=self.name, protocol=1, permissions=self.program.permissions,
                settings=msgspec.json.encode(self.program.settings),
            )  # fmt: skip
            try:
                self.answer = hold(self.program, await line.init(request, seconds + SLACK))
            except grpc.aio.AioRpcError as error:
                raise LoomError(await launched.why(reason_of(error))) from None
        for refusal in self.answer.refused:
            self.refuse(refusal)
        return line

    async def _attend(self, launched: Launched, line: Line) -> str:
        """Watch over a plugin that is ready, and end it when it should; why it ended."""
        await self._offers.open(line, self.answer)
        self._feed.open(line, self.answer.patterns)
        self._checks.begin(line)
        end = self._host.spawn(self._watch_end(launched), "end")
        self.reason, self._is_up = "", True
        self._enter("running")
        self._tell_state(version=self.answer.version, pid=self.pid)
        try:
            await self._wait_end(launched, line)
        finally:
            self._is_up = False
            end.cancel()
            self._checks.end()
            self._feed.pause()
            self._offers.pause()
        await launched.process.aclose()
        return self._checks.distrust or f"{launched.ending()}{launched.last_words()}"

    async def _wait_end(self, launched: Launched, line: Line) -> None:
        """Wait until the process has ended, or end it."""
        while launched.process.code is None:
            if self._wishes.is_end:
                self._was_asked = True
                await self._end_in_order(launched, line)
            elif self._checks.distrust:
                await launched.end(self._settings.kill_after)
                return
            else:
                await self._wishes.wait()

    async def _end_in_order(self, launched: Launched, line: Line) -> None:
        """Ask it to finish what runs; terminate it if it takes too long."""
        grace, patience = self._settings.stop_timeout, self._settings.kill_after
        if not self._wishes.is_wanted:
            grace, patience = min(grace, AT_THE_END), min(patience, AT_THE_END)
        try:
            await line.shutdown(grace, AT_THE_END)
            await launched.process.wait_ended(grace + SLACK)
        except grpc.aio.AioRpcError as error:
            self._host.log.warning("it did not take Shutdown: %s", reason_of(error))
        await launched.end(patience)
        await launched.process.aclose()

    async def _watch_end(self, launched: Launched) -> None:
        await launched.process.wait()
        self._wishes.wake()

    def _is_waited_for(self, id: str) -> bool:
        return id in self._offers.running

    # -- after a process ---------------------------------------------------------------------

    async def _recover(self, failure: str, lasted: float) -> None:
        """Wait until it may be started again."""
        now = self._host.clock.monotonic()
        delay = self._restarts.next_delay(now, lasted)
        self.reason = failure
        if delay is not None:
            self._enter("restarting")
            self._host.log.warning("%s; started again in %.1f s", failure, delay)
        else:
            delay = self._settings.retry_after
            self._restarts.reset()
            await self._withdraw()
            self._enter("quarantined")
            self._host.log.error("%s; it failed too often and is quarantined", failure)
        self._tell_state(reason=failure, delay=delay)
        await self._wishes.wait_end(now + delay)
        self.restarts += self._wishes.is_wanted

    async def _rest(self, state: State) -> None:
        """Stay in *state* until it is wanted again."""
        await self._withdraw()
        self._enter(state)
        if state == "stopped":
            self._tell_state()
        while not self._wishes.is_wanted:
            await self._wishes.wait()

    async def _withdraw(self) -> None:
        """Offer and receive nothing: it will not be back soon."""
        self._feed.close()
        await self._offers.close()

    def _enter(self, state: State) -> None:
        self.state = state
        self._entered.set()

    def _tell_state(self, **details: Any) -> None:
        what = "started" if self.state == "running" else self.state
        self._tell(f"process.{self.name}.{what}", name=self.name, **details)


def _too_late(launched: Launched | None, seconds: float) -> str:
    """Why nothing came within *seconds*."""
    if launched is None:
        return f"it could not be started within {seconds:g} s"
    said = launched.last_words()
    if launched.line is None:
        return f"it printed no handshake within {seconds:g} s{said}"
    return f"it did not answer Init within {seconds:g} s{said}"
