"""What a power cut leaves of files whose changes and flushes the shim has written down."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

SHIM = Path(__file__).with_name("shim.c")
_HEAD = struct.Struct("<cHqI")
Mode = Literal["nothing", "prefix", "pages", "sectors", "all"]
MODES: tuple[Mode, ...] = ("nothing", "prefix", "pages", "sectors", "all")
_GRAIN = {"pages": 4096, "sectors": 512}


def build(folder: Path) -> Path:
    """Compile the shim; the library to preload."""
    library = folder / "shim.so"
    command = [
        "gcc",
        "-O1",
        "-Wall",
        "-Werror",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(SHIM),
        "-ldl",
    ]
    subprocess.run(command, check=True, timeout=60)
    return library


@dataclass(frozen=True, slots=True)
class Step:
    """One change or flush of the file *path*."""

    kind: str
    path: str
    offset: int
    data: bytes


def steps(log: bytes) -> Iterator[Step]:
    """What the shim wrote down, in order; a last step that is not whole is left out."""
    at = 0
    while at + _HEAD.size <= len(log):
        kind, length, offset, size = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        end = at + length + size
        if end > len(log):
            return
        yield Step(kind.decode(), log[at : at + length].decode(), offset, log[at + length : end])
        at = end


@dataclass
class File:
    """One file: what was flushed, and what was done to it since."""

    flushed: bytearray = field(default_factory=bytearray)
    since: list[Step] = field(default_factory=list)
    has_name: bool = False
    """Whether its folder was flushed since it was made."""
    is_gone: bool = False

    def flush(self) -> None:
        """All that was done is on the disk."""
        for step in self.since:
            _apply(self.flushed, step)
        self.since.clear()


class Disk:
    """Follows steps, and can be cut from the power at any of them."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}

    def follow(self, step: Step) -> None:
        """Do *step*."""
        if step.kind == "C":
            self.files[step.path] = File()
        elif step.kind == "U":
            if (gone := self.files.get(step.path)) is not None:
                gone.is_gone = True
        elif step.kind == "S":
            if step.path in self.files:
                self.files[step.path].flush()
            else:
                self._flush_names(step.path)
        else:
            self.files.setdefault(step.path, File()).since.append(step)

    def _flush_names(self, folder: str) -> None:
        for path, file in list(self.files.items()):
            if Path(path).parent == Path(folder):
                file.has_name = True
                if file.is_gone:
                    del self.files[path]

    def cut(self, folder: Path, mode: Mode, random: Random) -> None:
        """Leave in *folder* what a cut now may leave of the files."""
        for path, file in self.files.items():
            is_there = not file.is_gone if file.has_name else random.random() < 0.5
            if file.is_gone and file.has_name:
                is_there = random.random() < 0.5
            if not is_there or path.endswith(("-shm", "marks")):
                continue
            content = bytearray(file.flushed)
            for step in _kept(file.since, mode, random):
                _apply(content, step)
            (folder / Path(path).name).write_bytes(content)


def _kept(since: list[Step], mode: Mode, random: Random) -> list[Step]:
    """Which of the steps that were not flushed reached the disk."""
    if mode == "nothing":
        return []
    if mode == "all":
        return since
    if mode == "prefix":
        return since[: random.randint(0, len(since))]
    grain = _GRAIN[mode]
    pieces = [piece for step in since for piece in _pieces(step, grain)]
    return [piece for piece in pieces if random.random() < 0.5]


def _pieces(step: Step, grain: int) -> Iterator[Step]:
    if step.kind == "T":
        yield step
        return
    at, end = step.offset, step.offset + len(step.data)
    while at < end:
        to = min(end, (at // grain + 1) * grain)
        yield Step("W", step.path, at, step.data[at - step.offset : to - step.offset])
        at = to


def _apply(content: bytearray, step: Step) -> None:
    if step.kind == "T":
        del content[step.offset :]
        content.extend(bytes(step.offset - len(content)))
        return
    if len(content) < step.offset:
        content.extend(bytes(step.offset - len(content)))
    content[step.offset : step.offset + len(step.data)] = step.data
