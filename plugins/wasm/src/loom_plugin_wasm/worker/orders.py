"""What a worker is told, and the one port behind which the engines are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

Code = Literal["ok", "error", "trap", "timeout", "memory"]
Engine = Literal["extism", "component"]

HOST_FUNCTIONS = ("log", "now", "random", "config", "progress")
LARGEST = 1 << 20
"""Bytes of the input and of the output of a call."""
WASI_PREVIEW1 = "wasi_snapshot_preview1"


@dataclass(frozen=True)
class Order:
    """How a module is to be run. Paths are absolute, in a guest as outside."""

    engine: Engine
    cache: str
    """The folder of its compiled code."""
    memory: int = 64
    """MiB."""
    seconds: float = 1.0
    """That a call may take."""
    functions: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    config: dict[str, str] = field(default_factory=dict)

    @property
    def has_wasi(self) -> bool:
        """Whether it gets WASI at all; without, its imports of it are refused."""
        return bool("wasi" in self.functions or self.read or self.write)


class Failed(Exception):
    """A call did not succeed."""

    def __init__(self, code: Code, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)


class Runner(Protocol):
    """A module of one engine, ready to be called. One caller at a time."""

    def prepare(self) -> None:
        """Have a fresh instance at hand for the next call."""
        ...

    def call(self, export: str, content: bytes) -> bytes:
        """What *export* answers to *content*.

        Raises:
            Failed: it does not answer, or not in time.
        """
        ...


def first_line(error: BaseException) -> str:
    """What *error* says, in a line that is fit for a log."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line.partition(": ")[2] for line in lines if line[:1].isdigit() and ": " in line]
    said = causes[-1] if causes else (lines[0] if lines else type(error).__name__)
    return said[:300]
