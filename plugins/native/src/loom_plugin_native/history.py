"""What file tools changed, and what was there before: bounded, on disk, the oldest goes first.

    undo/entries/<number>.json    one change: who, when, what it was before and is after
    undo/contents/<sha256>        the content of files, once each

An entry is written before its change happens, so a crash in between leaves one too many, which is
then refused as changed since; never one too few.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
from loom_kernel import LoomError, private_dir

from loom_plugin_native.beneath import Workspace
from loom_plugin_native.errors import WorkspaceError
from loom_plugin_native.states import LARGEST, State

MOST_ENTRIES = 200
MOST_BYTES = 256 << 20


class CannotUndo(LoomError):
    """Nothing was undone; the text says why, and what is possible."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one path."""

    number: int
    call: str
    """Id of the call that made it."""
    caller: str
    tool: str
    path: str
    time: float
    """UNIX seconds."""
    before: State
    after: State
    is_done: bool = False

    @property
    def can_be_undone(self) -> bool:
        """Whether what was before is kept: not of pipes and devices, nor of files too large."""
        return self.before.is_known


class Author(msgspec.Struct, frozen=True):
    """Who makes a change, by which call, and when."""

    call: str
    caller: str
    tool: str
    time: float


class History:
    """The changes of one workspace. Blocks on the disk: call it in a thread.

    Changes made through it come one after the other, so each knows what it replaces.
    """

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self._workspace = workspace
        self._entries = private_dir(folder / "entries")
        self._contents = private_dir(folder / "contents")
        self._lock = threading.Lock()
        self._changes = {change.number: change for change in self._read()}
        self._forget()

    def changes(self) -> list[Change]:
        """All that are kept, the newest first."""
        with self._lock:
            return sorted(self._changes.values(), key=lambda change: -change.number)

    @contextmanager
    def recording(self, path: str, author: Author) -> Iterator[None]:
        """Keep what *path* is now, and record what it has become; nothing, if that fails."""
        with self._lock:
            before = self._workspace.look(path, keep=LARGEST)
            change = self._begin(path, author, before)
            try:
                yield
            except BaseException:
                self._drop(change.number)
                raise
            after = self._workspace.look(path)
            # It has happened: if this cannot be written, undoing it needs --force after a restart.
            with suppress(OSError):
                self._write(msgspec.structs.replace(change, after=after, is_done=True))
                self._forget()

    def find(self, which: str = "") -> Change:
        """The change with that number or call id; the latest, if it is empty.

        Raises:
            CannotUndo: there is none.
        """
        for change in self.changes():
            if which in ("", str(change.number), change.call):
                return change
        what = f"no change {which!r}" if which else "nothing"
        raise CannotUndo(f"there is {what} to undo; see `loom undo --list`")

    def undo(self, which: str, author: Author, *, is_forced: bool = False) -> Change:
        """Make the path of a change what it was before; that is a change too, so it can be undone.

        Raises:
            CannotUndo: it is not there, is not kept, or the path has been changed since.
            WorkspaceError: the workspace does not let it.
        """
        change = self.find(which)
        if not change.can_be_undone:
            raise CannotUndo(
                f"what {change.path!r} was before was not kept: it was larger than "
                f"{LARGEST >> 20} MiB, or no file"
            )
        now = self._workspace.look(change.path)
        if not is_forced and not now.is_like(change.after):
            raise CannotUndo(
                f"{change.path!r} has been changed since; look at it, and use --force to "
                "overwrite it: that can be undone as well"
            )
        before = change.before
        if before.kind == "file":
            content = self._content(change)
            before = msgspec.structs.replace(before, content=content)
        with self.recording(change.path, author):
            self._workspace.put_back(change.path, before)
        return change

    def tidy(self) -> int:
        """Remove what was half written when a Loom was killed; how many files that were.

        Only where a change was begun and not finished is looked: a workspace may be large.
        """
        begun = [change.path for change in self.changes() if not change.is_done]
        found = 0
        for folder in {path.rpartition("/")[0] or "." for path in begun}:
            with suppress(WorkspaceError):  # it is gone, or may not be read
                found += self._workspace.tidy(folder)
        return found

    # -- the disk ----------------------------------------------------------------------------

    def _begin(self, path: str, author: Author, before: State) -> Change:
        light = msgspec.structs.replace(before, content=None)
        number = max(self._changes, default=0) + 1
        made = msgspec.structs.asdict(author)
        change = Change(number=number, path=path, before=light, after=light, **made)
        kept = self._contents / before.digest
        try:
            if before.content is not None and not kept.exists():
                _write(kept, before.content)
            self._write(change)
        except OSError as error:
            self._changes.pop(number, None)
            why = f"is left alone: what it is now cannot be kept for undo: {error.strerror}"
            raise WorkspaceError(path, why) from None
        return change

    def _content(self, change: Change) -> bytes:
        try:
            return (self._contents / change.before.digest).read_bytes()
        except OSError as error:
            raise CannotUndo(f"what {change.path!r} was before is gone: {error.strerror}") from None

    def _write(self, change: Change) -> None:
        self._changes[change.number] = change
        _write(self._entries / f"{change.number:08}.json", msgspec.json.encode(change))

    def _drop(self, number: int) -> None:
        self._changes.pop(number, None)
        (self._entries / f"{number:08}.json").unlink(missing_ok=True)

    def _read(self) -> Iterator[Change]:
        for draft in self._entries.glob(".*.tmp"):
            draft.unlink()
        for file in sorted(self._entries.glob("*.json")):
            try:
                yield msgspec.json.decode(file.read_bytes(), type=Change)
            except msgspec.DecodeError:
                file.unlink()  # half written when the machine stopped

    def _forget(self) -> None:
        """Drop the oldest entries over the bounds, and contents that nobody needs."""
        sizes = {file.name: file.stat().st_size for file in self._contents.iterdir()}
        needed: dict[str, int] = {}
        is_full = False
        for place, number in enumerate(sorted(self._changes, reverse=True)):
            digest = self._changes[number].before.digest
            more = {digest: sizes[digest]} if digest in sizes else {}
            total = sum((needed | more).values())
            is_full = is_full or place >= MOST_ENTRIES or total > MOST_BYTES
            if is_full:
                self._drop(number)
            else:
                needed |= more
        for name in sizes.keys() - needed.keys():
            (self._contents / name).unlink()


def _write(path: Path, content: bytes) -> None:
    """On disk and whole when this returns, or not there at all."""
    draft = path.with_name(f".{path.name}.tmp")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
