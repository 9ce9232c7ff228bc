"""What was said in earlier turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

from loom.contracts import Message

MOST = 50
Speaker = Literal["system", "user", "assistant"]


class MemoryEntry(msgspec.Struct, frozen=True):
    """Something that was said. *labels* are those of all that led to it."""

    role: Speaker
    content: str
    metadata: Mapping[str, Any] = {}
    labels: frozenset[str] = frozenset()


class WorkingMemory:
    """The latest things said, at most *capacity*; the oldest are forgotten first."""

    def __init__(self, capacity: int = MOST) -> None:
        self._entries: deque[MemoryEntry] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._entries)

    def add(
        self,
        role: Speaker,
        content: str,
        metadata: Mapping[str, Any] | None = None,
        labels: Iterable[str] = (),
    ) -> None:
        """Remember what *role* said. What is `system` stands as a rule in later prompts.

        Raises:
            ValueError: nobody has that role.
        """
        if role not in get_args(Speaker):
            raise ValueError(f"role {role!r}: a memory is of {', '.join(get_args(Speaker))}")
        self._entries.append(MemoryEntry(role, content, metadata or {}, frozenset(labels)))

    def get_recent(self, count: int = 10) -> list[MemoryEntry]:
        """The latest *count* entries, the oldest of them first."""
        return list(self._entries)[-count:] if count > 0 else []

    def get_context(self, max_items: int | None = None) -> str:
        """The latest entries as text, a line each."""
        entries = self.get_recent(len(self) if max_items is None else max_items)
        return "\n".join(f"{entry.role}: {entry.content}" for entry in entries)

    def to_messages(self) -> list[Message]:
        """All entries as turns of a conversation."""
        return [Message(entry.role, entry.content) for entry in self._entries]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
