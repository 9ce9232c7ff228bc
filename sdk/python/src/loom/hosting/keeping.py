"""What an agent knows, between its context and the disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loom_kernel import Envelope, Host, ServiceMissing, decode_json, encode_json

from loom.contracts import Journal


class Keeping:
    """The state of agent *owner*: read once, written whenever the handling of an event changed it.

    Where there is no journal it is kept in memory only.
    """

    def __init__(self, host: Host, owner: str) -> None:
        self._owner = owner
        self._known = b""
        self._generation = ""
        try:
            self._journal: Journal | None = host.require(Journal)
        except ServiceMissing:
            self._journal = None

    async def load(self, state: dict[str, Any]) -> dict[str, Any]:
        """What was kept; *state* if nothing is.

        Raises:
            LoomError: it cannot be read.
        """
        if self._journal is None:
            return state
        self._generation = self._journal.generation
        self._known = await self._journal.load(self._owner)
        return self._decoded() if self._known else state

    async def renew(self, state: dict[str, Any]) -> dict[str, Any]:
        """*state*, or what is kept if that has become something else: the runtime is a new one."""
        if self._journal is None or self._journal.generation == self._generation:
            return state
        return await self.load({})

    async def keep(
        self, state: dict[str, Any], event: Envelope, clock: Sequence[float] = ()
    ) -> None:
        """Keep *state* if it has changed, together with the end of *event*.

        *clock* is what the agent's clock said meanwhile.

        Raises:
            LoomError: it has no JSON form, or cannot be written.
        """
        if self._journal is None:
            return
        now = encode_json(state, f"the state of {self._owner}")
        is_changed = now != (self._known or b"{}")
        if is_changed or clock:
            await self._journal.keep(self._owner, now if is_changed else b"", event, clock)
            self._known = now

    def undo(self, state: dict[str, Any]) -> dict[str, Any]:
        """What was known before a handler failed: its event comes again."""
        if self._journal is None:
            return state
        return self._decoded() if self._known else {}

    def _decoded(self) -> dict[str, Any]:
        known: dict[str, Any] = decode_json(self._known, f"the state of {self._owner}")
        return known
