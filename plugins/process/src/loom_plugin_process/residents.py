"""All programs that are plugins, from their start to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from loom.contracts import Audit
from loom_kernel import Envelope, Health, Host, LoomError, ServiceMissing, detached

from loom_plugin_process.launch import clear_folders
from loom_plugin_process.program import Program
from loom_plugin_process.resident import Resident

TROUBLE = ("untrusted", "quarantined")


class Residents:
    """Keeps every program of `[process]` as it is wanted."""

    def __init__(self, host: Host, programs: Mapping[str, Program]) -> None:
        self._host = host
        self._residents = {
            name: Resident(host.scope(name), program, self._tell)
            for name, program in programs.items()
        }
        self._lives: dict[str, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[Resident]:
        return iter(self._residents.values())

    def find(self, name: str) -> Resident:
        """The one of that name.

        Raises:
            LoomError: there is none.
        """
        found = self._residents.get(name)
        if found is None:
            known = ", ".join(self._residents) or "none"
            raise LoomError(f"there is no [process.{name}]; there is: {known}")
        return found

    async def open(self) -> None:
        """Start them when the runtime is ready; until then calls of their tools wait."""
        for resident in self:
            await resident.expect()
        self._host.on("$loom.ready", handler=self._begin, name="process:start")
        self._host.on("$loom.stopping", handler=self._drain, name="process:end")

    async def _begin(self, _: Envelope) -> None:
        await asyncio.to_thread(clear_folders, self._host.paths.state)
        with detached():  # what they do is not caused by the runtime's being ready
            for resident in self:
                life = self._host.spawn(resident.live(), f"keep/{resident.name}")
                self._lives[resident.name] = life

    async def _drain(self, _: Envelope) -> None:
        """Let no event wait for a plugin that is down: the runtime would wait with it."""
        for resident in self:
            resident.let_go()

    async def stop(self) -> None:
        """End all of them, in order where they run."""
        await asyncio.gather(*map(self._stop_one, self))
        await asyncio.to_thread(clear_folders, self._host.paths.state)

    async def _stop_one(self, resident: Resident) -> None:
        life = self._lives.get(resident.name)
        resident.stop()
        if life is None:
            return
        if resident.state == "running":
            await resident.settled("stopped", "restarting", "quarantined")
        life.cancel()
        await asyncio.wait([life])

    def health(self) -> Health:
        """How many run, and which of them do not although they should."""
        lost = [f"{one.name} is {one.state}: {one.reason}" for one in self if one.state in TROUBLE]
        return Health(
            healthy=not lost,
            message="; ".join(lost) or "ok",
            metrics={
                "plugins": float(len(self._residents)),
                "running": float(sum(one.state == "running" for one in self)),
                "restarts": float(sum(one.restarts for one in self)),
            },
        )

    def _tell(self, topic: str, **details: Any) -> None:
        try:
            if topic == "plugin.refused":
                self._record(details)
            self._host.publish_nowait(topic, details)
        except LoomError as error:  # the bus takes no more, or the audit cannot be written
            self._host.log.error("%s was not told: %s", topic, error)

    def _record(self, details: dict[str, Any]) -> None:
        """Put a refusal into the audit, if one is kept."""
        try:
            audit = self._host.require(Audit)
        except ServiceMissing:
            return
        audit.record(
            "plugin.refused", details["plugin"], f"{details['asked']} {details['what']}",
            reason=details["reason"],
        )  # fmt: skip
