"""What a person is asked, in the runtime's own words: complete, and nothing in it can hide.

Whatever comes from a caller or a model is shown as text in quotes: control characters, marks of
direction and characters without width are written as escapes, and letters that only look like
others are named.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
from loom.contracts import Capsule, ToolDescriptor

MOST_NAMED = 8
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_ASCII = 128


def shown(text: str) -> str:
    """*text* with everything that is not seen as it is written out: `\\u202e`, `\\x1b`."""
    return "".join(_written(character) for character in text)


def _written(character: str) -> str:
    is_blank = unicodedata.category(character) == "Zs" and character != " "
    if unicodedata.category(character) not in _HIDDEN and not is_blank:
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def question(tool: ToolDescriptor, capsule: Capsule, why: Iterable[str]) -> str:
    """The text for the person who decides about *capsule*."""
    return "\n".join(_lines(tool, capsule, why))


def _lines(tool: ToolDescriptor, capsule: Capsule, why: Iterable[str]) -> Iterator[str]:
    prepared = capsule.preparation
    yield f"{shown(capsule.principal)} wants to run {shown(tool.name)} {shown(tool.version)}"
    yield f"  a tool of kind {shown(tool.provider)}, provided by {shown(capsule.owner)}"
    yield from (f"  asked because: {shown(reason)}" for reason in why)
    yield f"arguments ({len(capsule.arguments.encode())} bytes):"
    yield from (f"  {line}" for line in arguments(msgspec.json.decode(capsule.arguments)))
    if prepared.summary:
        yield f"what it will do: {shown(prepared.summary)}"
    if prepared.cwd:
        yield f"in folder: {shown(prepared.cwd)}"
    if prepared.environment:
        yield f"with variables: {', '.join(map(shown, prepared.environment))}"
    for path, digest in sorted(prepared.files.items()):
        yield f"depends on: {shown(path)} ({'absent' if digest == 'absent' else digest[:16]})"
    if capsule.labels:
        yield f"caused by what is: {', '.join(map(shown, capsule.labels))}"
    if capsule.reason:
        yield f'in its own words: "{shown(capsule.reason)}"'
    if foreign := strange_letters(capsule.arguments + tool.name + prepared.summary):
        yield f"note: letters beyond ASCII: {foreign}"
    yield f"decide until: {datetime.fromtimestamp(capsule.expires, UTC).astimezone():%c}"


def arguments(value: Any, path: str = "") -> Iterator[str]:
    """One line for each leaf of *value*; no leaf is left out or cut."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from arguments(below, f"{path}.{shown(str(key))}" if path else shown(str(key)))
    elif isinstance(value, list) and value:
        for place, below in enumerate(value):
            yield from arguments(below, f"{path}[{place}]")
    elif isinstance(value, str):
        yield f'{path} = "{shown(value)}"'
    else:
        yield f"{path or '(none)'} = {json.dumps(value)}"


def strange_letters(text: str) -> str:
    """The letters in *text* that are not ASCII, by name."""
    found = dict.fromkeys(c for c in text if ord(c) >= _ASCII and unicodedata.category(c)[0] == "L")
    names = [f"{c} {unicodedata.name(c, 'without a name')}" for c in found]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
