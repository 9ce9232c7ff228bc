"""Running an agent of this process on a runtime in another one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from loom_kernel import Envelope, Host, LoomError

from loom.bridge import RemoteBus, connect
from loom.contracts import BROKER, GO_ON, HALT, AgentDefinition, Mailboxes
from loom.hosting.actor import PATIENCE, Actor


@asynccontextmanager
async def joined(
    definition: AgentDefinition,
    address: str = "",
    token: str = "",
    *,
    patience: float = PATIENCE,
    returns: bool = False,
) -> AsyncIterator[Host]:
    """The agent's host, at the far end of a bridge; inside, the agent receives events.

    *patience* is for the event that it handles at the end; *returns*: see `loom.bridge.connect`.

    Raises:
        Refused, Disconnected: see `loom.bridge.connect`.
    """
    metadata = {name: str(value) for name, value in definition.metadata.items()}
    async with connect(
        address, token=token, agent=definition.id, metadata=metadata, returns=returns
    ) as host:
        actor = Actor(host, definition, patience=patience)
        host.provide(Mailboxes, _Mailbox(actor))
        host.on(HALT, GO_ON, handler=partial(_obey, actor), name=f"halt:{definition.id}")
        await actor.start()
        if isinstance(host.world.bus, RemoteBus):
            await host.world.bus.flush()  # from here on it receives what anybody publishes
        try:
            yield host
        finally:
            await actor.stop()


async def _obey(actor: Actor, envelope: Envelope) -> None:
    """Halt the agent, or let it go on, if the broker says so."""
    if envelope.sender == BROKER:
        actor.halt() if envelope.topic == HALT else actor.go_on()


class _Mailbox:
    """The service `loom.contracts.Mailboxes` where one agent lives."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def subscribe(self, id: str, pattern: str) -> None:
        self._check(id)
        self._actor.subscribe(pattern)

    def unsubscribe(self, id: str, pattern: str) -> None:
        self._check(id)
        self._actor.unsubscribe(pattern)

    def _check(self, id: str) -> None:
        if id != self._actor.id:
            raise LoomError(f"agent {id!r} lives in another process than {self._actor.id!r}")
