"""Plugins in processes of their own, over the bus: `process.list` and `process.control`.

process.list     request with nothing, reply is {"plugins": [record, …]}
process.control  request with {"name", "action": "inspect" | "trust" | "restart", "shown"?}, only
                 from the owner; reply is the record, or {"error": text}. What is trusted is what
                 was shown: `shown` is the fingerprint of an inspection's `found`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from loom.contracts import read
from loom.pins import fingerprint
from loom_kernel import Envelope, Host, LoomError

if TYPE_CHECKING:
    from loom_plugin_process.resident import Resident
    from loom_plugin_process.residents import Residents

OWNER = "cli"
"""The sender of what comes over the control socket."""


class Control(msgspec.Struct, frozen=True):
    """A request on `process.control`."""

    name: str
    action: Literal["inspect", "trust", "restart"]
    shown: str = ""


class Requests:
    """Answers what is asked of *residents*; None = there are no such plugins."""

    def __init__(self, host: Host) -> None:
        self.residents: Residents | None = None
        self._host = host

    def listen(self) -> None:
        """Answer from now on."""
        self._host.on("process.list", handler=self._list, name="process:list")
        self._host.on("process.control", handler=self._control, name="process:control")

    async def _list(self, envelope: Envelope) -> None:
        found = [resident.record() for resident in self.residents or ()]
        await self._host.reply(envelope, {"plugins": found})

    async def _control(self, envelope: Envelope) -> None:
        """In a task of its own: a plugin that takes its time keeps no other waiting."""
        self._host.spawn(self._answer(envelope), f"control/{envelope.id}")

    async def _answer(self, envelope: Envelope) -> None:
        try:
            answer = await self._act(envelope)
        except (LoomError, OSError) as error:
            answer = {"error": str(error)}
        await self._host.reply(envelope, answer)

    async def _act(self, envelope: Envelope) -> dict[str, Any]:
        if envelope.sender != OWNER:
            raise LoomError(f"{envelope.sender!r} may not decide that; its owner can: loom process")
        asked = read(envelope, Control)
        if self.residents is None:
            raise LoomError(f"there is no [process.{asked.name}]; loom.toml has none of them")
        resident = self.residents.find(asked.name)
        if asked.action == "inspect":
            return await _inspect(resident)
        if asked.action == "trust":
            await _trust(resident, asked.shown)
        if not resident.program.enabled:
            raise LoomError(f"{asked.name!r} is switched off: {resident.reason}")
        resident.restart("it was asked for")
        await resident.settled("running", "untrusted", "restarting", "quarantined", "stopped")
        return resident.record()


async def _inspect(resident: Resident) -> dict[str, Any]:
    located, found, changes = await asyncio.to_thread(resident.inspect)
    return {
        "found": found, "changes": changes, "shown": fingerprint(found),
        "argv": list(located.argv), "record": resident.record(),
    }  # fmt: skip


async def _trust(resident: Resident, shown: str) -> None:
    found = (await asyncio.to_thread(resident.inspect)).found
    if fingerprint(found) != shown:
        raise LoomError(f"{resident.name!r} has changed since it was shown; look at it again")
    await asyncio.to_thread(resident.trust, found)
