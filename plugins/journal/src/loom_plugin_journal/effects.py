"""What was done to the world: see `loom.contracts.Effects`."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec
from loom.contracts import Effect, ToolCall, ToolError, ToolResult
from loom_kernel import Envelope, Host, LoomError

from loom_plugin_journal.journal import Journal
from loom_plugin_journal.records import JournalUnavailable, Store, encode

SPACE = "intent"


class Intent(msgspec.Struct, array_like=True):
    """An effect that was begun, and what came of it once that is known."""

    effect: Effect
    time: float
    outcome: bytes | None = None
    run: str = ""
    """The life of the runtime in which it was begun."""


_decode = msgspec.msgpack.Decoder(Intent).decode


class Ledger:
    """Writes intents before effects happen, and outcomes after they did."""

    def __init__(self, host: Host, journal: Journal, store: Store) -> None:
        self._host = host
        self._journal = journal
        self._store = store
        self._open: dict[str, Intent] = {}
        """Begun in this life, not ended."""

    def name(self, caller: str, event: Envelope, what: str) -> str:
        flight = self._journal.flight(caller, event.id)
        return flight.step(f"call/{what}") if flight is not None else ""

    async def begin(self, effect: Effect) -> bytes | None:
        key = _key(effect)
        known = await self._find(key)
        if known is not None:
            self._check(effect, known.effect)
            if known.outcome is not None:
                return known.outcome
            if not effect.is_repeatable:
                raise unknown(effect)
        intent = Intent(effect, self._host.clock.time())
        self._open[key] = intent
        if not effect.is_repeatable:
            await self._intend(key, intent)
        return None

    async def _intend(self, key: str, intent: Intent) -> None:
        """Have *intent* on the disk, or nothing of it."""
        if self._journal.trouble:
            self._open.pop(key, None)
            raise JournalUnavailable(f"the journal cannot write: {self._journal.trouble}")
        try:
            await self._journal.writer.written(SPACE, key, encode(intent), flushed=True)
        except JournalUnavailable:
            self._open.pop(key, None)
            self._journal.writer.put(SPACE, key, None)  # it does not begin: nothing is unknown
            raise

    def told(
        self, event: Envelope, call: ToolCall, result: ToolResult, labels: frozenset[str]
    ) -> None:
        flight = self._journal.flight(call.caller, event.id)
        if flight is not None and self._journal.recorder is not None:
            self._journal.recorder.called(flight, call, result, labels)

    async def end(self, effect: Effect, outcome: bytes | None) -> None:
        key = _key(effect)
        begun = self._open.pop(key, None)
        if outcome is None:
            self._journal.writer.put(SPACE, key, None)
            return
        time = begun.time if begun is not None else self._host.clock.time()
        done = encode(Intent(effect, time, outcome))
        with suppress(JournalUnavailable):  # it is written when it can be; till then it is unknown
            await self._journal.writer.written(SPACE, key, done, flushed=False)

    async def _find(self, key: str) -> Intent | None:
        pending = self._journal.writer.pending(SPACE, key)
        data = pending or await asyncio.to_thread(self._store.get, SPACE, key)
        return _decode(data) if data else None

    def _check(self, effect: Effect, known: Effect) -> None:
        if (effect.name, effect.digest) != (known.name, known.digest):
            text = f"the call id {effect.id!r} was used for another call of {known.name}; use a new"
            raise ToolError(effect.name, "INVALID_PARAMS", f"{text} one")

    # -- what nobody knows -------------------------------------------------------------------

    def unknown(self) -> list[Intent]:
        """What was begun in an earlier life and never ended, the oldest first."""
        found = [_decode(data) for _, data in self._store.scan(SPACE)]
        left = [i for i in found if i.outcome is None and _key(i.effect) not in self._open]
        return sorted(left, key=lambda intent: intent.time)

    def settle(self, caller: str, id: str, *, happened: bool) -> Intent:
        """A person says what became of it: it happened, or it may be begun anew.

        Raises:
            LoomError: there is no such effect whose outcome is unknown.
        """
        for intent in self.unknown():
            if (intent.effect.caller, intent.effect.id) == (caller, id):
                key = _key(intent.effect)
                intent.outcome = b"" if happened else None
                self._journal.writer.put(SPACE, key, encode(intent) if happened else None)
                return intent
        raise LoomError(f"{caller} has no call {id!r} whose outcome is unknown")

    def forget_before(self, moment: float) -> int:
        """Forget the outcomes of what was begun before *moment*; how many."""
        old = [
            key
            for key, data in self._store.scan(SPACE)
            if (intent := _decode(data)).outcome is not None and intent.time < moment
        ]
        for key in old:
            self._journal.writer.put(SPACE, key, None)
        return len(old)


def unknown(effect: Effect) -> ToolError:
    """What is said instead of doing it a second time."""
    text = (
        "it was begun before this Loom ended, and whether it happened is not known; "
        "look, then say so with `loom journal settle`"
    )
    details = {"call": effect.id, "caller": effect.caller}
    return ToolError(effect.name, "OUTCOME_UNKNOWN", text, details)


def _key(effect: Effect) -> str:
    return f"{effect.caller}/{effect.id}"
