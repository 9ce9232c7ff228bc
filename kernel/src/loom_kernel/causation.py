"""Who caused what: what an event takes over from the one whose handling published it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from loom_kernel.envelope import MAX_HOPS, NO_LABELS, Envelope
from loom_kernel.errors import HopLimitExceeded, InvalidEnvelope

#: The envelope whose handling the running code belongs to.
current: ContextVar[Envelope | None] = ContextVar("loom_current", default=None)


@contextmanager
def detached() -> Iterator[None]:
    """Publish inside without a cause, as if no envelope were being handled."""
    token = current.set(None)
    try:
        yield
    finally:
        current.reset(token)


def inherit(topic: str, cause: Envelope, known: dict[str, Any]) -> None:
    """Add to *known* what an event takes over from the one whose handling causes it."""
    left = cause.ttl - 1
    if left < 1:
        raise HopLimitExceeded(topic, cause.thread_id, cause.hop + 1)
    known["ttl"] = min(left, known.get("ttl", MAX_HOPS))
    known["hop"] = cause.hop + 1
    known["causation_id"] = cause.id
    known["_trace"] = cause.traceparent
    known["labels"] = cause.labels | known.get("labels", NO_LABELS)
    known.setdefault("thread_id", cause.thread_id)
    if known["thread_id"] == cause.thread_id:
        known.setdefault("correlation_id", cause.correlation_id)
    if cause.budget is not None:
        known["budget"] = narrowed(topic, cause.budget, known.get("budget"))


def narrowed(
    topic: str, cause: Mapping[str, float], own: Mapping[str, float] | None
) -> Mapping[str, float]:
    """What may be spent: at most what the cause may, in each of its units."""
    if own is None:
        return cause
    for unit, amount in own.items():
        if amount > cause.get(unit, 0.0):
            raise InvalidEnvelope(topic, "budget", f"asks for {amount:g} {unit}, over its cause's")
    return {**cause, **own}
