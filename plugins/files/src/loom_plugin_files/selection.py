"""Which files of a watched folder are reported, and which folders in it are entered."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate

ALWAYS_IGNORED = (".loom",)
"""Loom's own folder in a project: watching what Loom writes would never end."""


class Selection:
    """Matches paths relative to the watched folder, `/` between the names.

    A pattern without `/` is compared with the last name, a pattern with one with the whole path;
    `**` stands for any number of folders. What is inside an ignored folder is ignored, and so are
    the *excluded* folders, which are paths and not patterns.

    Raises:
        re.error: a pattern holds a set of characters that is none, such as `[z-a]`.
    """

    def __init__(
        self,
        patterns: Iterable[str],
        ignore: Iterable[str] = (),
        *,
        recursive: bool = True,
        excluded: Iterable[str] = (),
    ) -> None:
        self._wanted = [_compile(pattern) for pattern in patterns]
        self._ignored = [_compile(pattern) for pattern in (*ALWAYS_IGNORED, *ignore)]
        self._recursive = recursive
        self._excluded = frozenset(excluded)

    def takes(self, relative: str) -> bool:
        """Whether the file is reported."""
        folder, _, name = relative.rpartition("/")
        return (
            _matches(self._wanted, relative, name)
            and not _matches(self._ignored, relative, name)
            and self.enters(folder)
        )

    def enters(self, relative: str) -> bool:
        """Whether the folder's content is looked at; empty means the watched folder itself."""
        if not relative:
            return True
        if not self._recursive:
            return False
        names = relative.split("/")
        return not any(
            _matches(self._ignored, path, name) or path in self._excluded
            for name, path in zip(names, accumulate(names, "{}/{}".format), strict=True)
        )


class _Pattern:
    __slots__ = ("expression", "is_path")

    def __init__(self, expression: re.Pattern[str], is_path: bool) -> None:
        self.expression = expression
        self.is_path = is_path


def _matches(patterns: list[_Pattern], relative: str, name: str) -> bool:
    return any(
        pattern.expression.fullmatch(relative if pattern.is_path else name) for pattern in patterns
    )


_PIECES = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", re.DOTALL)
_MEANING = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@lru_cache(maxsize=256)
def _compile(pattern: str) -> _Pattern:
    expression = "".join(_translate(piece) for piece in _PIECES.findall(pattern.strip("/")))
    return _Pattern(re.compile(expression, re.DOTALL), "/" in pattern.rstrip("/"))


def _translate(piece: str) -> str:
    if piece in _MEANING:
        return _MEANING[piece]
    if len(piece) > 1:  # a character class
        body = piece[1:-1].replace("\\", "\\\\")
        return f"[^{body[1:]}]" if body.startswith("!") else f"[{body}]"
    return re.escape(piece)
