"""Long outputs: kept in a file that is named by its content, told by their beginning.

The folder is `<root>/.loom/cache` (0700), the files are 0600. The same content is kept once. What
is read back is held against its name, so a file that was changed is not taken for what it was.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import msgspec
from loom_kernel import Clock, LoomError

BYTES, LINES = 2_048, 50
"""From so many on an output is long."""
PREVIEW, WIDTH = 10, 200
"""Lines of a preview, and characters of each."""
DAY = 86_400.0
FOLDERS = (".loom", "cache")


class Offloaded(msgspec.Struct, frozen=True):
    """A long output that was put aside."""

    reference: str
    """The SHA-256 of its content, in hex."""
    size: int
    """Bytes."""
    lines: int
    preview: str


class OutputGone(LoomError):
    """What was put aside is not there any more, or not what it was."""

    def __init__(self, reference: str, why: str) -> None:
        super().__init__(f"output {reference[:16]} {why}; call the tool again")
        self.reference = reference


class DataOffloader:
    """Puts long outputs aside below *root*, and gives them back."""

    def __init__(
        self,
        root: Path,
        clock: Clock,
        *,
        threshold_bytes: int = BYTES,
        threshold_lines: int = LINES,
        max_age: float = DAY,
    ) -> None:
        """*max_age* in seconds: files not put aside again for so long go with `cleanup`."""
        self._root = root
        self._clock = clock
        self._bytes = threshold_bytes
        self._lines = threshold_lines
        self._age = max_age

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._root.joinpath(*FOLDERS)

    def is_long(self, text: str) -> bool:
        """Whether *text* has 2 KB or 50 lines, or whatever the thresholds say."""
        if len(text) * 4 < self._bytes and len(text) < self._lines:
            return False
        return count_lines(text) >= self._lines or len(text.encode("utf-8", "replace")) >= (
            self._bytes
        )

    def offload(self, text: str) -> Offloaded:
        """Keep *text* in a file.

        Raises:
            OSError: the disk does not take it, or the folder is not what it should be.
        """
        content = text.encode("utf-8", "replace")
        name = sha256(content).hexdigest()
        with self._opened() as folder:
            if not _is_file(folder, name, len(content)):
                _write(folder, name, content)
            self._touch(folder, name)
        return Offloaded(name, len(content), count_lines(text), preview(text))

    def retrieve(self, reference: str) -> str:
        """What was put aside.

        Raises:
            OutputGone: it is too old, or was changed.
        """
        if len(reference) != 64 or not reference.isalnum():
            raise OutputGone(reference, "is none that was put aside")
        try:
            with self._opened() as folder:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                with open(os.open(reference, flags, dir_fd=folder), "rb") as file:  # noqa: PTH123
                    content = file.read()
        except OSError as error:
            raise OutputGone(reference, f"cannot be read ({error.strerror})") from error
        if sha256(content).hexdigest() != reference:
            raise OutputGone(reference, "was changed on the disk")
        return content.decode()

    def cleanup(self) -> int:
        """Remove what is older than *max_age*; how many files that were.

        Raises:
            OSError: the folder cannot be read.
        """
        oldest, gone = self._clock.time() - self._age, 0
        if not self.folder.is_dir():
            return 0
        with self._opened() as folder:
            for name in os.listdir(folder):  # noqa: PTH208  # of the descriptor
                with suppress(FileNotFoundError):  # another process was faster
                    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < oldest:
                        os.unlink(name, dir_fd=folder)
                        gone += 1
        return gone

    def _touch(self, folder: int, name: str) -> None:
        now = self._clock.time()
        os.utime(name, (now, now), dir_fd=folder, follow_symlinks=False)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder's descriptor. A link in its place is refused, wherever it leads."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        opened = [os.open(self._root, flags)]
        try:
            for name in FOLDERS:
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=opened[-1])
                opened.append(os.open(name, flags | os.O_NOFOLLOW, dir_fd=opened[-1]))
            if stat.S_IMODE(os.fstat(opened[-1]).st_mode) != 0o700:
                os.fchmod(opened[-1], 0o700)
            yield opened[-1]
        finally:
            for descriptor in reversed(opened):
                os.close(descriptor)


def count_lines(text: str) -> int:
    """Lines of *text*; a last one that is empty does not count."""
    return text.count("\n") + (not text.endswith("\n"))


def preview(text: str) -> str:
    """The first lines of *text*."""
    lines = text[: PREVIEW * 4_096].split("\n", PREVIEW)[:PREVIEW]
    return "\n".join(line if len(line) <= WIDTH else line[:WIDTH] + "…" for line in lines)


def _is_file(folder: int, name: str, size: int) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def _write(folder: int, name: str, content: bytes) -> None:
    draft = f".{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(draft, flags, 0o600, dir_fd=folder), "wb") as file:  # noqa: PTH123
            file.write(content)
        os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        raise
