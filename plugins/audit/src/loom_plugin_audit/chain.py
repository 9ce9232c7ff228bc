"""The chain: each entry holds the hash of the one before, so that none can be changed alone."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
from loom.contracts import canonical

GENESIS = "0" * 64
"""What the first entry has before it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the audit."""

    seq: int
    """From 1, without a gap."""
    time: float
    """UNIX seconds."""
    event: str
    who: str
    what: str
    details: dict[str, Any] = {}
    previous: str = GENESIS
    """Hash of the entry before."""
    hash: str = ""
    """SHA-256, in hex, of all the others in canonical JSON."""

    def sealed(self) -> Entry:
        """The same with its hash."""
        return msgspec.structs.replace(self, hash=hash_of(self))


class Head(msgspec.Struct, frozen=True):
    """Where the chain ends; kept apart, so that a chain cut short is found out."""

    seq: int = 0
    hash: str = GENESIS
    seal: str = ""
    """HMAC-SHA-256, in hex, of the two under this instance's key."""


def hash_of(entry: Entry) -> str:
    """What *entry*'s hash has to be."""
    plain = msgspec.structs.replace(entry, hash="")
    return hashlib.sha256(canonical(plain)).hexdigest()


def seal(key: bytes, seq: int, hash: str) -> str:
    """Proof that whoever wrote this head holds *key*."""
    return hmac.new(key, f"{seq}:{hash}".encode(), hashlib.sha256).hexdigest()


def is_genuine(head: Head, key: bytes) -> bool:
    """Whether *head* was written with *key*."""
    return hmac.compare_digest(head.seal, seal(key, head.seq, head.hash))
