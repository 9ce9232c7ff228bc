"""Telling a model what is data: a fence that nothing inside it can close.

Its mark is made of the content's own hash, so a text would have to contain its hash to hold its
own end; and the same content gets the same fence, which a replay and a prompt cache need. A fence
is no wall: what a model may do is decided by the broker alone.
"""

from __future__ import annotations

import re
from hashlib import sha256

MARK = 12
"""Hex digits: 2^48 tries to make a text that holds its own."""
_STRANGE = re.compile(r"[^\w:./ -]")


def fenced(source: str, text: str) -> str:
    """*text* as data that came from *source* (a tool's name)."""
    mark = sha256(text.encode("utf-8", "replace")).hexdigest()[:MARK]
    name = _STRANGE.sub("?", source[:80])  # a model may have made it up
    return f'<data-{mark} from="{name}">\n{text}\n</data-{mark}>'
