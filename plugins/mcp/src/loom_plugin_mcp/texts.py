"""What strangers write, made fit to be shown to people and models."""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
"""Control, zero-width, bidirectional, surrogate, private, unassigned; line and paragraph breaks."""
_SUPPLEMENT = range(0xE0100, 0xE01F0)
"""Variation selectors that change nothing to be seen: a hiding place for text."""


def clean(text: str, longest: int) -> str:
    """*text* without what is not seen or moves the cursor, and with up to *longest* characters."""
    cut = text[: longest + 1]
    kept = "".join(c for c in cut if c in "\n\t" or not _is_hidden(c))
    return kept if len(text) <= longest else kept[: longest - 1] + ELLIPSIS


def is_clean(text: str) -> bool:
    """Whether `clean` would leave *text* as it is, and it is on one line."""
    return text.isprintable() and not any(map(_is_hidden, text))


def _is_hidden(character: str) -> bool:
    if character.isascii():
        return not character.isprintable()
    return unicodedata.category(character) in _HIDDEN or ord(character) in _SUPPLEMENT
