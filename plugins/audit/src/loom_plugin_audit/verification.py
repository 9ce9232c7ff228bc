"""Whether anybody changed the audit: the chain from its first entry, against heads kept apart."""

from __future__ import annotations

from pathlib import Path

import msgspec

from loom_plugin_audit.chain import GENESIS, Entry, Head, hash_of, is_genuine
from loom_plugin_audit.journal import AuditBroken, entries, read_head, read_key


class Verdict(msgspec.Struct, frozen=True):
    """What was found."""

    entries: int
    """How many entries follow each other without a fault, from the first."""
    head: str
    """Number and hash of the last of them, as `seq:hash`: worth writing down elsewhere."""
    problems: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing was changed, left out, put in or cut off."""
        return not self.problems


def verify(folder: Path, anchor: Head | None = None) -> Verdict:
    """Go through the audit in *folder*; *anchor* is a head that was written down elsewhere."""
    head, key = read_head(folder), read_key(folder)
    wanted = {one.seq: one.hash for one in (anchor, head) if one is not None and one.seq}
    seq, last, problems = 0, GENESIS, list[str]()
    try:
        for entry in entries(folder):
            if problem := _problem(entry, seq, last):
                problems.append(problem)
                break
            seq, last = entry.seq, entry.hash
            if wanted.pop(seq, last) != last:
                problems.append(f"entry {seq} is another than the one that was anchored")
                break
    except AuditBroken as error:
        problems.append(str(error))
    if not problems:
        problems += [
            f"it ends at entry {seq}, but entry {number} was there: the end was cut off"
            for number in sorted(wanted)
        ]
    if head is None and seq:
        problems.append("the head that is kept apart is missing")
    elif head is not None and head.seq and not is_genuine(head, key):
        problems.append("the head that is kept apart was not written by this Loom")
    return Verdict(seq, f"{seq}:{last}", tuple(problems))


def _problem(entry: Entry, seq: int, last: str) -> str:
    if entry.seq != seq + 1:
        return f"after entry {seq} comes entry {entry.seq}: something was left out or moved"
    if entry.previous != last:
        return f"entry {entry.seq} does not follow the one before it"
    if hash_of(entry) != entry.hash:
        return f"entry {entry.seq} was changed"
    return ""
