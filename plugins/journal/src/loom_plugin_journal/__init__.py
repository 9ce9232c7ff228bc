"""Keeps events on disk until they were handled, and what agents know, through any crash.

The names are for who examines a journal: they are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom_plugin_journal.journal import Journal
    from loom_plugin_journal.proof import SEGMENT
    from loom_plugin_journal.queries import letters
    from loom_plugin_journal.records import (
        Append,
        Batch,
        JournalDamaged,
        JournalUnavailable,
        Receipt,
        Record,
        body_of,
    )
    from loom_plugin_journal.settings import Settings
    from loom_plugin_journal.slots import Slots
    from loom_plugin_journal.sqlite import FILE, SqliteStore

_HOMES = {
    "journal": ("Journal",),
    "queries": ("letters",),
    "records": (
        "Append", "Batch", "JournalDamaged", "JournalUnavailable", "Receipt", "Record", "body_of",
    ),
    "settings": ("Settings",),
    "slots": ("Slots",),
    "proof": ("SEGMENT",),
    "sqlite": ("FILE", "SqliteStore"),
}  # fmt: skip

__all__ = [
    "FILE",
    "SEGMENT",
    "Append",
    "Batch",
    "Journal",
    "JournalDamaged",
    "JournalUnavailable",
    "Receipt",
    "Record",
    "Settings",
    "Slots",
    "SqliteStore",
    "body_of",
    "letters",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
