"""Compiled code on disk, by the module's bytes and the engines that compiled it."""

from __future__ import annotations

import platform
import shutil
from importlib.metadata import version
from pathlib import Path

import msgspec
from loom_kernel import private_dir

REPORT = "report.json"
ENGINES = ("wasmtime", "extism-sys")


class Report(msgspec.Struct, frozen=True):
    """What compiling told of a module."""

    imports: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()


def place(cache: Path, digest: str, kind: str) -> Path:
    """The folder for the code of the module with *digest*."""
    engines = "-".join(version(engine) for engine in ENGINES)
    return cache / f"{digest[:32]}-{kind}-{engines}-{platform.machine()}"


def find_report(folder: Path) -> Report | None:
    """What is known of the code in *folder*; None = it is not compiled. Blocks."""
    try:
        return msgspec.json.decode((folder / REPORT).read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError):
        return None


def prepare(folder: Path) -> None:
    """Make *folder* empty, so that a module can be compiled into it. Blocks."""
    shutil.rmtree(folder, ignore_errors=True)
    private_dir(folder)
    code = folder / "extism"
    code.mkdir(mode=0o700)
    text = f'[cache]\ndirectory = "{code}"\n'
    (folder / "cache.toml").write_text(text, encoding="utf-8")


def keep(folder: Path, report: Report) -> None:
    """The code in *folder* is complete. Blocks."""
    draft = folder / f".{REPORT}"
    draft.write_bytes(msgspec.json.encode(report))
    draft.replace(folder / REPORT)
