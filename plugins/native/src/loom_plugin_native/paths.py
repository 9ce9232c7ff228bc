"""What a path in a workspace may look like: names separated by `/`, below the workspace.

The rules are the same on every platform, so that a path means one thing wherever an agent runs:
- `.` and empty names are dropped; `..` is refused, also where it would stay inside.
- A backslash or a drive letter (`C:`) is refused: on Windows it would leave the workspace.
- Control characters are refused: they can rewrite a terminal or a log that shows the name.
- Everything else is an ordinary name. Nothing is decoded or normalised: `%2e%2e` is six plain
  characters, and look-alikes of `.` or `/` are letters.
"""

from __future__ import annotations

import unicodedata

from loom_plugin_native.errors import InvalidPath, PathEscapes

MAX_NAME = 255
"""Bytes in one name, the limit of every common file system."""

MAX_DEPTH = 64
"""Names in one path."""


def split(path: object) -> tuple[str, ...]:
    """Check *path* and return its names; the workspace itself is the empty tuple.

    Raises:
        InvalidPath: the path is malformed.
        PathEscapes: the path is absolute or climbs with `..`.
    """
    if not isinstance(path, str):
        raise InvalidPath("", "is not text")
    if not path:
        raise InvalidPath(path, "is empty")
    if path.startswith("/"):
        raise PathEscapes(path, "is absolute")
    if "\\" in path:
        raise InvalidPath(path, "has a backslash")
    if path[1:2] == ":" and path[0].isascii() and path[0].isalpha():
        raise PathEscapes(path, "starts with a drive letter")
    names = tuple(name for name in path.split("/") if name not in {"", "."})
    if ".." in names:
        raise PathEscapes(path, "climbs with '..'")
    if len(names) > MAX_DEPTH:
        raise InvalidPath(path, f"is more than {MAX_DEPTH} names deep")
    for name in names:
        _check_name(path, name)
    return names


def _check_name(path: str, name: str) -> None:
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidPath(path, "is not valid Unicode") from None
    if size > MAX_NAME:
        raise InvalidPath(path, f"has a name of more than {MAX_NAME} bytes")
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise InvalidPath(path, "has a control character")
