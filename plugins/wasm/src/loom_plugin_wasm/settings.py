"""What `[wasm]` and `[plugins.wasm]` in loom.toml may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from loom_kernel import ConfigError, LoomError, check_pattern

NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
FUNCTIONS = ("log", "now", "random", "config", "progress", "wasi")
"""What a guest may be given: the functions of the host, and WASI without files and network."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.wasm]`; what each means is in the manifest."""

    max_restarts: int
    restart_window: float
    compile_seconds: int
    compile_memory: int


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[wasm.<name>]`: one module, and what its owner grants it."""

    module: str
    kind: Literal["extism", "component"]
    manifest: str = ""
    """The file that describes its tools; the module's name with `.toml`, if it is not said."""
    tool: tuple[dict[str, Any], ...] = ()
    """Its tools, if they are described here and in no file."""
    enabled: bool = True
    memory: int = 64
    seconds: float = 1.0
    instances: int = 1
    functions: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    config: dict[str, str] = {}
    subscribe: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()


def read_tables(tables: Mapping[str, Any], base: Path) -> dict[str, Table]:
    """The modules that `[wasm]` names; their paths are absolute, relative ones were to *base*.

    Raises:
        ConfigError: a table is wrong; the message names it and the key.
    """
    return {name: _read_table(name, raw, base) for name, raw in tables.items()}


def _read_table(name: str, raw: Any, base: Path) -> Table:
    if not NAME.fullmatch(name):
        raise ConfigError(f"[wasm.{name}]: {name!r} is no name; use a-z, 0-9, - and _, at most 40")
    if not isinstance(raw, dict):
        raise ConfigError(f"'wasm.{name}' must be a table, not {raw!r}")
    for key in raw:
        if key not in Table.__struct_fields__:
            known = ", ".join(Table.__struct_fields__)
            raise ConfigError(f"unknown key {key!r} in [wasm.{name}]; known: {known}")
    try:
        table = msgspec.convert(raw, Table)
    except msgspec.ValidationError as error:
        raise ConfigError(f"[wasm.{name}]: {error}") from None
    if problem := _problem(table):
        raise ConfigError(f"[wasm.{name}]: {problem}")
    module = base / table.module
    return msgspec.structs.replace(
        table,
        module=str(module),
        manifest=str(base / table.manifest if table.manifest else module.with_suffix(".toml")),
        read=_absolute(table.read, base),
        write=_absolute(table.write, base),
    )


def _absolute(paths: tuple[str, ...], base: Path) -> tuple[str, ...]:
    return tuple(str(base / Path(path).expanduser()) for path in paths)


def _problem(table: Table) -> str:
    """What is wrong with the values of *table*, or nothing."""
    for key, value, least, most in (
        ("memory", table.memory, 1, 4096),
        ("seconds", table.seconds, 0.001, 3600),
        ("instances", table.instances, 1, 32),
    ):
        if not least <= value <= most:
            return f"{key!r} is {value!r}, must be from {least:g} to {most:g}"
    for function in table.functions:
        if function not in FUNCTIONS:
            return f"'functions' names {function!r}; there are {', '.join(FUNCTIONS)}"
    try:
        for pattern in (*table.subscribe, *table.publish):
            check_pattern(pattern)
    except LoomError as error:
        return str(error)
    return ""
