"""The processes in which agents of an app run: all of them, from their start to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from loom.contracts import AgentRecord, Bridge, Ticket
from loom_kernel import Envelope, Host, LoomError, ServiceMissing, detached

from loom_plugin_agents.child import SETTLED, Child
from loom_plugin_agents.settings import Settings

#: Seconds for which processes may go on with what waits in their mailboxes at the end.
DRAIN = 10.0
#: How often it looks whether mailboxes are empty at the end, in seconds.
LOOK = 0.05


class Supervisor:
    """Keeps one process per file running; what it knows of an agent, the directory shows."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._settings: Settings = host.settings
        self._children: dict[Path, Child] = {}
        self._lives: dict[Path, asyncio.Task[None]] = {}
        self._bridge: Bridge | None = None
        self._is_ready = self._is_stopping = False
        self.connected: Callable[[str], list[AgentRecord]] = lambda origin: []
        """The agents of that origin in the directory."""
        self.forget: Callable[[str], Awaitable[None]] | None = None
        """Lets go of the agents of that origin."""
        self.on_known: Callable[[set[str]], None] | None = None
        """Called once, with the ids of all agents, when every process has told its own."""

    def listen(self) -> None:
        """Start the processes when the runtime is ready, and end them with it."""
        self._host.on("$loom.ready", handler=self._begin, name="agents:processes")
        self._host.on("$loom.stopping", handler=self._drain, name="agents:end")
        self._host.on("agent.*.disconnected", handler=self._disconnected, name="agents:lost")

    # -- what there is -----------------------------------------------------------------------

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children.values())

    def files(self) -> list[Path]:
        """The files that run as processes."""
        return list(self._children)

    def owner(self, id: str, origin: str = "") -> Child | None:
        """The child to which agent *id* belongs; by its *origin* once it is connected."""
        for child in self:
            if origin == child.origin or (not origin and id in child.ids):
                return child
        return None

    # -- what should be ----------------------------------------------------------------------

    def add(self, file: Path) -> None:
        """Run the agents of *file* in a process; if they do, in a new one."""
        child = self._children.get(file)
        if child is not None and self._is_kept(child):
            child.restart(f"{file.name} has changed")
            return
        self._children[file] = Child(self._host, file, self._known)
        if self._is_ready:
            self._launch(self._children[file])

    async def remove(self, file: Path) -> None:
        """End the process of *file* and forget it."""
        await self.stop_child(self._children[file])
        child, life = self._children.pop(file), self._lives.pop(file, None)
        if life is not None:
            life.cancel()
        if self._bridge is not None:
            self._bridge.withdraw(child.origin)

    async def start_child(self, child: Child) -> None:
        """Let *child* run; returns when it does, or when it is clear that it does not yet.

        Raises:
            LoomError: no process can be started.
        """
        self._check(child)
        child.start()
        await child.settled(*SETTLED)

    async def stop_child(self, child: Child) -> None:
        """End the process of *child* in order."""
        child.stop()
        if self._is_kept(child):
            await child.settled("stopped", "finished")
        if self.forget is not None and not self._is_stopping:
            await self.forget(child.origin)

    async def restart_child(self, child: Child) -> None:
        """Replace the process of *child*; returns as `start_child` does."""
        self._check(child)
        child.restart("it was asked for")
        await child.settled("starting")
        await child.settled(*SETTLED)

    def _check(self, child: Child) -> None:
        if self._is_ready and not self._is_kept(child):
            raise LoomError(f"{child.file.name}: {child.reason}")

    def _is_kept(self, child: Child) -> bool:
        """Whether something looks after *child* already, and still."""
        life = self._lives.get(child.file)
        return life is not None and not life.done()

    def _known(self) -> None:
        if self.on_known is not None and all(child.agents for child in self):
            tell, self.on_known = self.on_known, None
            tell({id for child in self for id in child.agents})

    # -- events ------------------------------------------------------------------------------

    async def _begin(self, event: Envelope) -> None:
        self._is_ready = True
        with detached():  # what the children do is not caused by the runtime's start
            for child in self:
                self._launch(child)

    def _launch(self, child: Child) -> None:
        if self._is_stopping:
            return
        ticket = self._ticket(child)
        if ticket is None:
            child.refuse("it needs the plugin 'bridge', which does not run")
            self._host.log.error("%s: %s", child.file.name, child.reason)
            return
        life = self._host.spawn(child.live(ticket), f"keep/{child.file.stem}")
        self._lives[child.file] = life

    def _ticket(self, child: Child) -> Ticket | None:
        """A way in for *child*, which all processes that it has use one after the other."""
        if self._bridge is None:
            try:
                self._bridge = self._host.require(Bridge)
            except ServiceMissing:
                return None
        return self._bridge.issue(child.origin)

    async def _disconnected(self, event: Envelope) -> None:
        """A process that runs and is not heard hangs; one that replaced such a one does not."""
        told = event.data if isinstance(event.data, dict) else {}
        child = self.owner("", str(told.get("origin")))
        if child is None or self._is_stopping:
            return
        if any(record.status == "disconnected" for record in self.connected(child.origin)):
            child.distrust(f"it is not heard any more ({told.get('reason')})")

    # -- the end -----------------------------------------------------------------------------

    async def _drain(self, event: Envelope) -> None:
        """End the processes while the bridge is still there; they first empty their mailboxes.

        The runtime waits for handlers, so this bounds itself: nobody else would.
        """
        clock = self._host.clock
        until = clock.monotonic() + (0.0 if event.data.get("at_once") else DRAIN)
        while clock.monotonic() < until and self._are_waited_for():
            await clock.sleep(LOOK)
        await self.stop()

    def _are_waited_for(self) -> bool:
        """Whether events wait for agents whose process runs."""
        running = [child.origin for child in self if child.state == "running"]
        return any(record.waiting for origin in running for record in self.connected(origin))

    async def stop(self) -> None:
        """End all processes at once, in order; after `stop_timeout` they are killed."""
        self._is_stopping = True
        await asyncio.gather(*(self.stop_child(child) for child in self))
        for life in self._lives.values():
            life.cancel()
