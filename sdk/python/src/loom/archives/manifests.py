"""`loom-tool.toml`: what a tool in an archive is, and the table of loom.toml that it asks for."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

import msgspec

from loom.archives.limits import DEEPEST_MANIFEST, LONGEST_MANIFEST
from loom.archives.names import check_path
from loom.archives.refusals import ArchiveRefused

MANIFEST = "loom-tool.toml"
KINDS = ("wasm", "process")
TOOL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
RESERVED = ("cli", "kernel", "local", "loom")
VERSION = re.compile(r"[0-9][0-9A-Za-z.+_-]{0,31}")
LONGEST_SUMMARY = 200
MOST_DOTS = 200
"""In one line: what `tomllib` takes for a dotted key grows with the square of its parts."""
_VARIABLE = re.compile(r"\$(?!defs/)(?:\{\w+\}|\w+)")
"""What loom.toml would fill in from the owner's environment."""
_NO_KEYS = ("__proto__", "constructor", "prototype")
"""With these a program in JavaScript can be taken over."""
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f]"
)
_LARGEST_NUMBER = 1 << 63


class WasmTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[wasm]`: what `[wasm.<name>]` may hold; what it means is the plugin's to say."""

    module: str
    kind: Literal["extism", "component"]
    manifest: str = ""
    tool: tuple[dict[str, Any], ...] = ()
    memory: int = 1
    seconds: float = 1.0
    instances: int = 1
    functions: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    config: dict[str, str] = {}
    subscribe: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()


class ProcessTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[process]`: what `[process.<name>]` may hold; its folder is always the archive's."""

    command: tuple[str, ...]
    env: dict[str, str] = {}
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: bool = False
    memory: int = 0
    permissions: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    timeout: float = 1.0
    calls: int = 1
    events: int = 1
    frame: int = 1


class ToolManifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file, checked."""

    name: str
    version: str
    kind: Literal["wasm", "process"]
    summary: str
    files: tuple[str, ...] = ()
    """The files and folders that `pack` takes; all that can be seen, if nothing is said."""
    wasm: dict[str, Any] | None = None
    process: dict[str, Any] | None = None

    @property
    def asks(self) -> dict[str, Any]:
        """The table, with paths as they are in the archive."""
        return (self.wasm if self.kind == "wasm" else self.process) or {}

    def table(self, folder: str) -> dict[str, Any]:
        """The table for loom.toml, if the archive's content lies in *folder* beside it."""
        if self.kind == "process":
            command = list(self.asks["command"])
            return {"command": command, "cwd": folder, **_without(self.asks, "command")}
        named: dict[str, Any] = {
            key: f"{folder}/{self.asks[key]}" for key in ("module", "manifest") if key in self.asks
        }
        return {**named, **_without(self.asks, *named)}

    def tops(self, paths: Collection[str]) -> set[str]:
        """Where Python would look for modules first, if the command starts one of *paths*."""
        found = {""}
        for word in self.asks["command"] if self.kind == "process" else ():
            name = str(PurePosixPath(word))
            if name in paths:
                found.add(str(PurePosixPath(name).parent).removeprefix("."))
            elif any(path.startswith(f"{name}/") for path in paths):
                found.add(name)  # a folder with a __main__.py
        return found

    def check_files(self, paths: Collection[str]) -> None:
        """Accept *paths* as what the table needs.

        Raises:
            ArchiveRefused: a file is missing.
        """
        if self.kind != "wasm":
            return
        module = self.asks["module"]
        wanted = [module]
        if not self.asks.get("tool"):
            beside = str(PurePosixPath(module).with_suffix(".toml"))
            wanted.append(self.asks.get("manifest") or beside)
        for path in wanted:
            if path not in paths:
                raise ArchiveRefused(f"[wasm] needs the file {path!r}, which is not there", path)


def read_manifest(content: bytes) -> ToolManifest:
    """The manifest whose text is *content*.

    Raises:
        ArchiveRefused: it is none.
    """
    if len(content) > LONGEST_MANIFEST:
        raise _refused(f"it has more than {LONGEST_MANIFEST >> 10} KiB")
    try:
        raw = tomllib.loads(_checked_text(content))
        _check_values(raw)
        manifest = msgspec.convert(raw, ToolManifest)
        _check_header(manifest)
        _check_table(manifest)
    except RecursionError:
        raise _refused("it is nested too deeply") from None
    except (ValueError, msgspec.ValidationError) as error:
        raise _refused(str(error)) from None
    return manifest


def _checked_text(content: bytes) -> str:
    text = content.decode()
    if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
        raise _refused(f"a line of it has more than {MOST_DOTS} dots")
    return text


def _check_header(manifest: ToolManifest) -> None:
    if not TOOL_NAME.fullmatch(manifest.name) or manifest.name in RESERVED:
        raise _refused(f"{manifest.name!r} cannot be a name: a-z, 0-9, - and _, at most 40")
    if not VERSION.fullmatch(manifest.version):
        raise _refused(f"{manifest.version!r} is no version; write one such as 1.0")
    summary = manifest.summary
    if not summary.strip() or len(summary) > LONGEST_SUMMARY or "\n" in summary or "\t" in summary:
        raise _refused(f"its summary must be one line of at most {LONGEST_SUMMARY} letters")
    for name in manifest.files:
        check_path(name)


def _check_table(manifest: ToolManifest) -> None:
    other = manifest.process if manifest.kind == "wasm" else manifest.wasm
    if not manifest.asks or other is not None:
        raise _refused(f"it must have one table, [{manifest.kind}]")
    if manifest.kind == "process":
        program = msgspec.convert(manifest.asks, ProcessTable)
        _check_command(program.command)
        return
    module = msgspec.convert(manifest.asks, WasmTable)
    for name in filter(None, (module.module, module.manifest)):
        check_path(name)


def _check_command(command: tuple[str, ...]) -> None:
    if not command or not command[0]:
        raise _refused("command must name a program")
    for word in command:
        if ".." in word.split("/"):
            raise _refused(f"command leads out of the tool's folder: {word!r}")


def _check_values(raw: Mapping[str, Any]) -> None:
    for depth, key, value in _walk(raw):
        if depth > DEEPEST_MANIFEST:
            raise _refused("it is nested too deeply")
        if key in _NO_KEYS:
            raise _refused(f"the key {key!r} has a meaning of its own in JavaScript")
        if _CONTROL.search(key):
            raise _refused(f"the key {key!r} holds characters that nobody sees")
        if isinstance(value, str):
            _check_text(key, value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise _refused(f"{key!r} is {value!r}, which is no number")
        elif isinstance(value, int) and not -_LARGEST_NUMBER <= value < _LARGEST_NUMBER:
            raise _refused(f"{key!r} is too large a number")
        elif not isinstance(value, str | float | int | list | dict):
            raise _refused(f"{key!r} is a date; write a text")


def _check_text(key: str, value: str) -> None:
    if _CONTROL.search(value):
        raise _refused(f"{key!r} holds characters that nobody sees: {value!r}")
    if found := _VARIABLE.search(value):
        problem = f"{key!r} asks for a variable of yours, {found[0]!r}; only you may write that"
        raise _refused(f"{problem} into loom.toml")


def _walk(raw: Mapping[str, Any]) -> Iterator[tuple[int, str, Any]]:
    """Every value below *raw*, with its depth and its key (that of its list)."""
    waiting: list[tuple[int, str, Any]] = [(1, key, value) for key, value in raw.items()]
    while waiting:
        depth, key, value = waiting.pop()
        yield depth, key, value
        if isinstance(value, dict):
            waiting += [(depth + 1, below, one) for below, one in value.items()]
        elif isinstance(value, list):
            waiting += [(depth + 1, key, one) for one in value]


def _without(table: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _refused(problem: str) -> ArchiveRefused:
    return ArchiveRefused(problem, MANIFEST)
