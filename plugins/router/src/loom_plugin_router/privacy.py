"""How far a thought may go: four levels, the labels by which they travel, who may be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from loom.contracts import ModelRecord
from loom_kernel import Envelope

LEVELS = ("public", "sensitive", "private", "local-only")
"""Each but the first is also the label by which it travels."""
SENSITIVE, PRIVATE, LOCAL_ONLY = 1, 2, 3
_RANKS = {level: rank for rank, level in enumerate(LEVELS)}


def rank(level: str) -> int:
    """The rank of *level*, stricter ones higher; a word that is none counts as the strictest."""
    return _RANKS.get(level, LOCAL_ONLY)


def strictest(levels: Iterable[str], labels: frozenset[str]) -> int:
    """The rank of the strictest of *levels* (empty ones say nothing) and of *labels*."""
    found = max((rank(level) for level in levels if level), default=0)
    for label in labels:
        found = max(found, _RANKS.get(label, 0))
    return found


def is_allowed(record: ModelRecord, level: int, private_to: Sequence[str]) -> bool:
    """Whether a thought of rank *level* may go to *record*."""
    if record.is_local:
        return True
    if level == PRIVATE:
        return record.name in private_to
    return level < SENSITIVE or (level == SENSITIVE and record.is_trusted)


def released(cause: Envelope | None, name: str, private_to: Sequence[str]) -> Envelope | None:
    """*cause* as endpoint *name* is asked with it.

    Everybody holds what is labelled `private` on this machine, except from the endpoints that the
    owner named to the router.
    """
    if cause is None or name not in private_to or "private" not in cause.labels:
        return cause
    return msgspec.structs.replace(cause, labels=cause.labels - {"private"})


def labelled(envelope: Envelope) -> Envelope:
    """A filter of the bus: what an event says of its privacy holds for all that it causes."""
    metadata = envelope.metadata
    if not metadata or "privacy" not in metadata:
        return envelope
    return marked(envelope, rank(metadata["privacy"]))


def marked(envelope: Envelope, level: int) -> Envelope:
    """*envelope* with the label of rank *level*."""
    label = LEVELS[level]
    if not level or label in envelope.labels:
        return envelope
    return msgspec.structs.replace(envelope, labels=envelope.labels | {label})
