"""How far a thought may go: four levels, the labels by which they travel, who may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from loom.contracts import ModelRecord
from loom_kernel import Envelope

LEVELS = ("public", "sensitive", "private", "local-only")
NAMED = "private-named"
"""The label of what is private and may be asked of the endpoints in `private_to`.

The label `private` itself is held on this machine by everybody, whatever the router's settings say.
"""
HELD = frozenset({"private", "local-only"})
SENSITIVE, PRIVATE, LOCAL_ONLY = 1, 2, 3
_RANKS = {level: rank for rank, level in enumerate(LEVELS)}
_OF_LABELS = {"sensitive": SENSITIVE, "private": PRIVATE, NAMED: PRIVATE, "local-only": LOCAL_ONLY}


def rank(level: str) -> int:
    """The rank of *level*, stricter ones higher; a word that is none counts as the strictest."""
    return _RANKS.get(level, LOCAL_ONLY)


def strictest(levels: Iterable[str], labels: frozenset[str]) -> int:
    """The rank of the strictest of *levels* (empty ones say nothing) and of *labels*."""
    found = max((rank(level) for level in levels if level), default=0)
    for label in labels:
        found = max(found, _OF_LABELS.get(label, 0))
    return found


def is_allowed(
    record: ModelRecord, level: int, labels: frozenset[str], private_to: Sequence[str]
) -> bool:
    """Whether a thought of rank *level*, caused by what carries *labels*, may go to *record*."""
    if record.is_local:
        return True
    if level >= LOCAL_ONLY or not HELD.isdisjoint(labels):
        return False
    if level == PRIVATE:
        return record.name in private_to
    return level < SENSITIVE or record.is_trusted


def label_of(level: int, private_to: Sequence[str]) -> str:
    """The label by which rank *level* travels."""
    return NAMED if level == PRIVATE and private_to else LEVELS[level]


class Labeller:
    """A filter of the bus: what an event says of its privacy holds for all that it causes."""

    def __init__(self, private_to: Sequence[str]) -> None:
        self._private_to = private_to

    def __call__(self, envelope: Envelope) -> Envelope:
        metadata = envelope.metadata
        if not metadata or "privacy" not in metadata:
            return envelope
        found = rank(metadata["privacy"])
        if not found:
            return envelope
        label = label_of(found, self._private_to)
        return msgspec.structs.replace(envelope, labels=envelope.labels | {label})
