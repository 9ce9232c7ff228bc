"""Sandboxes: what a program may reach, and who sees to it.

A sandbox is a function from commands to commands: it puts a mechanism of the operating system
around a program. Whoever starts programs requires `Sandbox` and says what each may reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Command(msgspec.Struct, frozen=True):
    """A program to run: never text for a shell."""

    argv: tuple[str, ...]
    """The program's absolute path, then its arguments."""
    cwd: str = "/"
    environment: Mapping[str, str] = {}
    """The whole of it; nothing is inherited."""
    is_wrapped: bool = False
    """Whether the process that is started only watches over the program."""


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """What a program may reach beside the system's own programs and libraries, which it may read.

    The default is nothing: no file, no network, a folder for temporary files of its own.
    """

    read: tuple[str, ...] = ()
    """Absolute paths; below each all may be read."""
    write: tuple[str, ...] = ()
    """Absolute paths; below each all may be read, written, made and deleted."""
    network: bool = False
    memory: int = 512 << 20
    """Bytes of address space; 0 = no limit, for what reserves much more than it uses."""
    processes: int = 64
    files: int = 256
    """Open descriptors."""
    file_size: int = 256 << 20
    """Bytes of the longest file it may write."""
    temporary: int = 256 << 20
    """Bytes that its folder for temporary files holds; it is memory."""
    seconds: int = 0
    """Seconds of processor time; 0 = no limit."""


class Sandbox(Protocol):
    """Confines programs with the best mechanism that works here.

    A mechanism is a driver of the entry-point group `loom.sandbox`: a class with a classmethod
    `probe`, which gives one that works here or says why there is none, and `strength`: more is
    better.
    """

    mechanism: str
    """`bubblewrap`, `landlock`, or `none`: there is nothing here, or the owner switched it off."""

    def confine(self, command: Command, within: Confinement) -> Command:
        """*command* so that it reaches no more than *within*, and ends when this process does.

        Raises:
            SandboxMissing: nothing here can do that, and the owner has not said to do without.
        """
        ...

    def contain(self, command: Command) -> Command:
        """*command* with all that this process may do, but ending when this process does."""
        ...
