"""What the journal writes: records in a gapless order, and small values that change with them.

A record is sealed twice: its own CRC finds a damaged one wherever it is read, and the chain (each
link is the hash of the one before and of the record) finds what was changed, removed or inserted.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import msgspec
from loom_kernel import Envelope, LoomError

LINK = 16
"""Bytes of a link of the chain."""
START = bytes(LINK)
"""The link before the first record."""
Space = str
"""Values of one kind: `consumer`, `state`, `once`, `step`, `key`, `intent`, `letter`, `meta`."""

encode: Any = msgspec.msgpack.Encoder().encode
_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode


class JournalUnavailable(LoomError):
    """The journal cannot take or give events now; its health says why. Try again later.

    What was refused because the disk failed amid it may still be found there and be delivered.
    An idempotency key makes sure that trying again is not a second time.
    """


class JournalDamaged(LoomError):
    """What is on the disk is not what was written there; the text says where."""


class Append(msgspec.Struct, gc=False):
    """One event to be written; *key* tells that it was written before."""

    topic: str
    body: bytes
    time: float
    space: Space = ""
    key: str = ""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """Where an event is in the log."""

    sequence: int
    is_duplicate: bool = False


class Batch:
    """What becomes true together, or not at all: first appends, then removals, then values."""

    def __init__(self) -> None:
        self.appends: list[Append] = []
        self.removals: list[tuple[Space, str]] = []
        """Every value of the space whose key begins so."""
        self.values: dict[tuple[Space, str], bytes | None] = {}
        """None removes one."""
        self.is_flushed = False
        """Whether it must survive a power cut, not only the end of the process."""

    def __bool__(self) -> bool:
        return bool(self.appends or self.removals or self.values)


class Record(msgspec.Struct, frozen=True, gc=False):
    """One event in the log."""

    sequence: int
    topic: str
    body: bytes

    def envelope(self) -> Envelope:
        """The event, as it was published.

        Raises:
            JournalDamaged: it is not one.
        """
        try:
            return _decode_envelope(self.body)
        except msgspec.MsgspecError as error:
            raise JournalDamaged(f"record {self.sequence} is no event: {error}") from None


class Store(Protocol):
    """A driver of `loom.store`: a log and values in one file, changed in one transaction.

    One thread calls `commit`; any thread may read. Whatever else goes wrong raises OSError.
    """

    first: int
    """The sequence of the oldest that is kept; `last + 1` = there is none."""

    @property
    def last(self) -> int:
        """The sequence of the newest record; 0 = there is none."""

    @property
    def is_full(self) -> bool:
        """Whether the disk was full, and only what makes room or ends work should be written."""

    def reserve(self) -> bool:
        """Keep room for the next full disk; whether there is enough."""

    def commit(self, batch: Batch) -> list[Receipt]:
        """Write *batch*; a receipt an append, in order."""

    def read(self, first: int, limit: int) -> list[Record]:
        """Up to *limit* records from sequence *first* on.

        Raises:
            JournalDamaged: one of them is not what was written, or is missing.
        """

    def get(self, space: Space, key: str) -> bytes | None:
        """One value."""

    def scan(
        self, space: Space, prefix: str = "", *, after: str = "", limit: int = -1
    ) -> list[tuple[str, bytes]]:
        """The values whose keys begin with *prefix*, in the order of keys.

        Only what follows the key *after*, and at most *limit* of them (-1 = all).
        """

    def verify(self) -> int:
        """Read all, and return how many records there are.

        Raises:
            JournalDamaged: names the first damage.
        """

    def snapshot(self, target: Path) -> None:
        """Write all there is now to the new file *target*, while others go on writing.

        Raises:
            OSError: it cannot be written, or is there already.
        """

    def trim(self, before: int) -> int:
        """Remove records older than *before*, by whole segments; how many."""

    def close(self) -> None:
        """Let the files go."""


def body_of(envelope: Envelope) -> bytes:
    """*envelope* as a record's body.

    Raises:
        PayloadNotSerializable: its data has no JSON form.
    """
    return encode(envelope.packed())  # type: ignore[no-any-return]


def checksum(sequence: int, topic: str, body: bytes) -> int:
    """The CRC-32 of a record."""
    return crc32(body, crc32(topic.encode(), sequence & 0xFFFFFFFF))


def link(before: bytes, sequence: int, topic: str, body: bytes) -> bytes:
    """The link of the chain that follows *before*."""
    head = b"%s%d\x00%s\x00" % (before, sequence, topic.encode())
    return blake2b(head + body, digest_size=LINK).digest()
