"""What the owner asks the journal, through a running Loom. Nobody else is answered.

journal.events     a `Query`; reply {"events": […]}
journal.status     reply {"status": {…}, "consumers": […]}
journal.runs       {"after"}; reply {"handlings": […]}
journal.verify     reply {"records": n}
journal.snapshot   {"name"}, a path; reply {"snapshot": path, "records": n}
journal.forget     {"name"}; reply {"forgotten": name}
journal.unknown    reply {"calls": […]}
journal.settle     {"caller", "id", "happened"}; reply {"settled": …}
letter.list        reply {"letters": […]}
letter.show        {"id"}; reply {"letter": …, "event": …}
letter.replay      {"id"}; reply {"replayed": id}
letter.drop        {"id"}; reply {"dropped": id}
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from loom.contracts import Audit, read
from loom_kernel import Envelope, Host, LoomError, ServiceMissing, detached

from loom_plugin_journal.effects import Ledger
from loom_plugin_journal.flight import Letter
from loom_plugin_journal.journal import Journal
from loom_plugin_journal.queries import Query, consumers, events, handlings, letters
from loom_plugin_journal.records import Store

OWNER = "cli"
PAGE = 256 << 10
"""Bytes of handlings that one reply has, roughly."""
Order = Callable[[Envelope], Awaitable[dict[str, Any]]]


class Named(msgspec.Struct):
    """Which letter, or consumer."""

    id: str = ""
    name: str = ""


class Page(msgspec.Struct):
    """Which handlings: those after that number."""

    after: int = 0


class Verdict(msgspec.Struct):
    """What a person knows of a call whose outcome nobody else knows."""

    caller: str
    id: str
    happened: bool


class Orders:
    """Answers the owner's requests."""

    def __init__(self, host: Host, journal: Journal, ledger: Ledger, store: Store) -> None:
        self._host = host
        self._journal = journal
        self._ledger = ledger
        self._store = store

    def start(self) -> None:
        """Listen from now on."""
        orders: dict[str, Order] = {
            "journal.events": self._events, "journal.status": self._status,
            "journal.runs": self._runs, "journal.verify": self._verify,
            "journal.forget": self._forget, "journal.unknown": self._unknown,
            "journal.settle": self._settle, "journal.snapshot": self._snapshot,
            "letter.list": self._letters, "letter.show": self._show,
            "letter.replay": self._replay, "letter.drop": self._drop,
        }  # fmt: skip
        for topic, order in orders.items():
            self._host.on(topic, handler=self._answering(order), name=f"journal:{topic}")

    def _answering(self, order: Order) -> Callable[[Envelope], Awaitable[None]]:
        async def answer(envelope: Envelope) -> None:
            self._host.spawn(self._answer(order, envelope), envelope.topic)

        return answer

    async def _answer(self, order: Order, envelope: Envelope) -> None:
        answer: dict[str, Any]
        if envelope.sender != OWNER:
            said = f"{envelope.sender!r} may not ask this; only the owner, from the command line"
            answer = {"error": {"code": "PERMISSION_DENIED", "message": said}}
        else:
            try:
                answer = await order(envelope)
            except (LoomError, OSError) as error:
                answer = {"error": {"code": "ACTION_ERROR", "message": str(error)}}
        await self._host.reply(envelope, answer)

    # -- the log -----------------------------------------------------------------------------

    async def _events(self, envelope: Envelope) -> dict[str, Any]:
        query = read(envelope, Query)
        return {"events": await asyncio.to_thread(events, self._store, query)}

    async def _status(self, envelope: Envelope) -> dict[str, Any]:
        await self._journal.writer.flush()
        health = self._journal.health()
        known = await asyncio.to_thread(consumers, self._store)
        for consumer in known:
            live = self._journal.consumers.get(consumer["name"])
            consumer["is_consumed"] = bool(live and live.outlets)
            if live is not None:  # what is not for it moves it on without being written each time
                consumer["next"], consumer["in_hand"] = live.next, len(live.left)
                consumer["behind"] = self._journal.last + 1 - live.next if live.is_behind else 0
        status = {"healthy": health.healthy, "message": health.message, **health.metrics}
        return {"status": status, "consumers": known}

    async def _verify(self, envelope: Envelope) -> dict[str, Any]:
        return {"records": await asyncio.to_thread(self._store.verify)}

    async def _runs(self, envelope: Envelope) -> dict[str, Any]:
        await self._journal.writer.flush()
        page = read(envelope, Page)
        found = await asyncio.to_thread(handlings, self._store, page.after, PAGE)
        return {"handlings": found}

    async def _snapshot(self, envelope: Envelope) -> dict[str, Any]:
        await self._journal.writer.flush()
        target = Path(read(envelope, Named).name)
        await asyncio.to_thread(self._store.snapshot, target)
        return {"snapshot": str(target), "records": self._store.last - self._store.first + 1}

    async def _forget(self, envelope: Envelope) -> dict[str, Any]:
        name = read(envelope, Named).name
        consumer = self._journal.consumers.get(name)
        if consumer is None:
            raise LoomError(f"there is no durable consumer {name!r}; see `loom journal status`")
        if consumer.outlets:
            raise LoomError(f"{name!r} is consumed by {consumer.outlets[0].subscriber!r}; stop it")
        self._journal.forget(name)
        await self._journal.writer.flush()
        self._record("journal.forgotten", name)
        return {"forgotten": name}

    # -- calls -------------------------------------------------------------------------------

    async def _unknown(self, envelope: Envelope) -> dict[str, Any]:
        calls = [
            {
                "caller": i.effect.caller,
                "id": i.effect.id,
                "name": i.effect.name,
                "time": i.time,
                "digest": i.effect.digest,
            }
            for i in await asyncio.to_thread(self._ledger.unknown)
        ]
        return {"calls": calls}

    async def _settle(self, envelope: Envelope) -> dict[str, Any]:
        verdict = read(envelope, Verdict)
        intent = self._ledger.settle(verdict.caller, verdict.id, happened=verdict.happened)
        await self._journal.writer.flush()
        self._record("call.settled", intent.effect.name, id=verdict.id, happened=verdict.happened)
        return {"settled": msgspec.to_builtins(intent.effect), "happened": verdict.happened}

    # -- letters -----------------------------------------------------------------------------

    async def _letters(self, envelope: Envelope) -> dict[str, Any]:
        await self._journal.writer.flush()
        found = await asyncio.to_thread(letters, self._store)
        return {"letters": [letter.summary() for letter in found]}

    async def _show(self, envelope: Envelope) -> dict[str, Any]:
        letter = await self._letter(envelope)
        event = msgspec.msgpack.decode(letter.event, type=Envelope)
        return {"letter": letter.summary(), "event": msgspec.json.decode(event.to_json())}

    async def _replay(self, envelope: Envelope) -> dict[str, Any]:
        letter = await self._letter(envelope)
        with detached():
            self._journal.deliver_again(letter)
        await self._journal.writer.flush()
        self._record("letter.replayed", letter.id)
        return {"replayed": letter.id}

    async def _drop(self, envelope: Envelope) -> dict[str, Any]:
        letter = await self._letter(envelope)
        self._journal.writer.put("letter", letter.id, None)
        await self._journal.writer.flush()
        self._record("letter.dropped", letter.id)
        return {"dropped": letter.id}

    async def _letter(self, envelope: Envelope) -> Letter:
        await self._journal.writer.flush()
        id = read(envelope, Named).id
        data = await asyncio.to_thread(self._store.get, "letter", id)
        if data is None:
            raise LoomError(f"there is no dead letter {id!r}; see `loom dlq list`")
        return msgspec.msgpack.decode(data, type=Letter)

    def _record(self, event: str, what: str, **details: Any) -> None:
        try:
            self._host.require(Audit).record(event, OWNER, what, **details)
        except ServiceMissing:
            self._host.log.info("%s %s", event, what)
