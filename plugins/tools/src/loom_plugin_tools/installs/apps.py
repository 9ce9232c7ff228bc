"""An app's folder, held by its handle while something in it is changed."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from loom_kernel import LoomError, Paths

TOOLS = "tools"
CONFIG = "loom.toml"
LARGEST_CONFIG = 4 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Config(NamedTuple):
    """`loom.toml` as it lies there."""

    content: bytes
    mode: int

    @property
    def text(self) -> str:
        """Its text.

        Raises:
            LoomError: it is no UTF-8.
        """
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            raise LoomError(f"{CONFIG} cannot be read: {error}") from None


class App:
    """The app of *paths*; *handle* is that of its folder."""

    def __init__(self, paths: Paths, folder: Path, handle: int) -> None:
        self.paths = paths
        self.folder = folder
        self.handle = handle

    def read_config(self) -> Config:
        """Its loom.toml.

        Raises:
            LoomError: it is a link, or too large.
        """
        try:
            descriptor = os.open(CONFIG, FILE, dir_fd=self.handle)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise LoomError(f"{self.folder / CONFIG} is a link; put the file there") from None
            raise
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            content = file.read(LARGEST_CONFIG + 1)
        if not stat.S_ISREG(mode) or len(content) > LARGEST_CONFIG:
            raise LoomError(f"{self.folder / CONFIG} is no file, or larger than 4 MiB")
        return Config(content, stat.S_IMODE(mode))

    @contextmanager
    def tools(self, *, make: bool = False) -> Iterator[int]:
        """A handle of its folder for tools.

        Raises:
            FileNotFoundError: there is none, and none shall be made.
            LoomError: it is a link.
        """
        if make:
            with suppress(FileExistsError):
                os.mkdir(TOOLS, 0o755, dir_fd=self.handle)
        try:
            handle = os.open(TOOLS, FOLDER, dir_fd=self.handle)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise LoomError(f"{self.folder / TOOLS} is a link, or no folder") from None
            raise
        try:
            yield handle
        finally:
            os.close(handle)

    def has_tool(self, name: str) -> bool:
        """Whether there is anything with that name in its folder for tools."""
        with suppress(FileNotFoundError), self.tools() as tools:
            return is_there(name, tools)
        return False


def is_there(name: str, folder: int) -> bool:
    """Whether *folder* holds *name*, whatever it is."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def opened(paths: Paths) -> Iterator[App]:
    """The app of *paths*, for one command at a time.

    Raises:
        LoomError: there is no app, or another command changes its tools.
    """
    if paths.project is None:
        raise LoomError("no loom.toml here: go to an app's folder, or name it with --project DIR")
    handle = os.open(paths.project, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LoomError(
                f"another command changes the tools of {paths.project}; try again when it is done"
            ) from None
        yield App(paths, paths.project, handle)
    finally:
        os.close(handle)
