"""Names of files that mean the same file on every system, and nothing else."""

from __future__ import annotations

import re
import unicodedata

from loom.archives.limits import DEEPEST, LONGEST_NAME, LONGEST_PATH
from loom.archives.refusals import ArchiveRefused

RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9]|lpt[0-9])", re.IGNORECASE)
"""Devices on Windows, whatever follows their first dot."""
NOT_PORTABLE = frozenset('<>:"|?*')
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that are drawn as nothing; some file systems leave them out."""
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def check_path(path: str) -> None:
    """Accept *path* if it can only name a file below the folder that it is put into.

    Raises:
        ArchiveRefused: it could name another one, here or elsewhere.
    """
    if problem := _problem(path):
        raise ArchiveRefused(problem, path)


def _problem(path: str) -> str:
    if len(path.encode("utf-8", "surrogatepass")) > LONGEST_PATH:
        return f"its name has more than {LONGEST_PATH} bytes"
    if "\\" in path:
        return "its name holds a backslash, which some systems take for a folder's end"
    if path.startswith("/"):
        return "its name begins at the root"
    if re.match(r"[A-Za-z]:", path):
        return "its name begins with a drive letter"
    parts = path.split("/")
    if len(parts) > DEEPEST:
        return f"it lies more than {DEEPEST} folders deep"
    return next(filter(None, map(_problem_of_part, parts)), "")


def _problem_of_part(part: str) -> str:
    if part in ("", ".", ".."):
        return f"its name holds the part {part!r}"
    if any(map(_is_hidden, part)) or _BLANK.search(part):
        return "its name holds characters that nobody sees"
    if held := NOT_PORTABLE & set(part):
        return f"its name holds {min(held)!r}, which not every system allows"
    if part[0] == ".":
        return "its name begins with a dot: a person would not see it"
    if part[0] == " " or part[-1] in " .":
        return "its name begins or ends with a space, or ends with a dot"
    if len(part.encode()) > LONGEST_NAME:
        return f"a part of its name has more than {LONGEST_NAME} bytes"
    if unicodedata.normalize("NFC", part) != part:
        return "its name is not in Unicode's composed form (NFC)"
    if RESERVED.fullmatch(_folded(part).partition(".")[0].rstrip()):
        return f"{part!r} is the name of a device on some systems"
    return ""


def _is_hidden(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind in _HIDDEN or (kind == "Zs" and character != " ")


def _folded(text: str) -> str:
    """*text* as the systems see it that tell least apart."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


class Names:
    """All names of one archive: none may be another one in different letters."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._named: set[str] = set()
        """The folders that have an entry of their own."""

    def add(self, path: str, *, is_folder: bool) -> None:
        """Take *path*, and the folders above it, in.

        Raises:
            ArchiveRefused: it is there already, perhaps in other letters, or as something else.
        """
        parts = path.split("/")
        for end in range(1, len(parts)):
            self._add_folder("/".join(parts[:end]), path)
        if is_folder:
            self._add_folder(path, path)
            if path in self._named:
                raise ArchiveRefused(_clash(path, path), path)
            self._named.add(path)
            return
        if other := self._files.get(_folded(path)) or self._folders.get(_folded(path)):
            raise ArchiveRefused(_clash(other, path), path)
        self._files[_folded(path)] = path

    def _add_folder(self, folder: str, path: str) -> None:
        if other := self._files.get(_folded(folder)):
            raise ArchiveRefused(_clash(other, folder), path)
        if (other := self._folders.setdefault(_folded(folder), folder)) != folder:
            raise ArchiveRefused(_clash(other, folder), path)


def _clash(other: str, path: str) -> str:
    if other == path:
        return "that name is there twice"
    return f"on some systems its name is the same as that of {other!r}"
