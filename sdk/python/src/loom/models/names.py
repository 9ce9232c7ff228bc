"""Names of tools where colons are not allowed: `fs:read_file` is `fs__read_file`, and back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

LONGEST = 64
"""Characters that all endpoints take."""
_HELD = re.compile(r"-_([0-9a-f]+)_-|__")
_PLAIN = re.compile(r"[A-Za-z0-9-]")


def wire_name(name: str) -> str:
    """*name* in letters, digits, `_` and `-`, at most 64 of them.

    `tool_name` is its inverse, except for names so long that they had to be cut.
    """
    written = "".join(_written(name, place) for place in range(len(name)))
    if len(written) <= LONGEST:
        return written
    mark = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{written[: LONGEST - 11]}-{mark}"


def tool_name(wire: str) -> str:
    """The name that `wire_name` made *wire* of."""
    return _HELD.sub(lambda found: _character(found[1]), wire)


def wire_names(names: Iterable[str]) -> dict[str, str]:
    """Name on the wire → name."""
    return {wire_name(name): name for name in names}


def _written(name: str, place: int) -> str:
    """How the character at *place* is written: `_` stays only between letters and digits."""
    character = name[place]
    if character == ":":
        return "__"
    if character == "_":
        around = name[place - 1 : place] + name[place + 1 : place + 2]
        if len(around) == 2 and around.isascii() and around.isalnum():
            return "_"
    elif _PLAIN.fullmatch(character):
        return character
    return f"-_{ord(character):x}_-"


def _character(code: str | None) -> str:
    if code is None:
        return ":"
    number = int(code, 16)
    return chr(number) if number < 0x110000 else f"-_{code}_-"
