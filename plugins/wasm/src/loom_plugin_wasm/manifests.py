"""The manifest beside a module: the tools in it, and what it asks for."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
from loom.contracts import ToolDescriptor, ToolHints
from loom_kernel import ConfigError

from loom_plugin_wasm.access import Access
from loom_plugin_wasm.settings import Table

LONGEST = 1 << 20


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[tool]]`."""

    name: str
    description: str
    parameters: dict[str, Any] = {}
    result: dict[str, Any] | None = None
    export: str = ""
    """The function that is called; the tool's name, if it is not said."""
    permissions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    hints: ToolHints = ToolHints()


class ModuleManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    tool: tuple[Tool, ...] = ()
    asks: Access = Access()
    event: str = "handle_event"
    """The function that events are handed to."""


def read_module_manifest(name: str, table: Table) -> ModuleManifest:
    """The manifest of module *name*: from *table*, or from the file that it names. Blocks.

    Raises:
        ConfigError: there is none, or it is wrong; the message says where.
    """
    place = "its tools" if table.tool else table.manifest
    try:
        raw = {"tool": table.tool} if table.tool else _read(Path(table.manifest))
        return msgspec.convert(raw, ModuleManifest)
    except OSError as error:
        raise ConfigError(f"[wasm.{name}]: {place}: {error.strerror}") from None
    except (ValueError, msgspec.ValidationError, RecursionError) as error:
        raise ConfigError(f"[wasm.{name}]: {place}: {error}") from None


def _read(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        return tomllib.loads(opened.read(LONGEST).decode())


def describe(name: str, tool: Tool, table: Table) -> ToolDescriptor:
    """*tool* of module *name* as the broker knows it: it always has the module's namespace."""
    reach = Access.of(table).permissions
    return ToolDescriptor(
        f"{name}:{tool.name}",
        tool.description,
        tool.parameters or {"type": "object"},
        result=tool.result,
        provider="wasm",
        timeout=table.seconds * 2 + 1.0,  # it may have to wait for its turn
        hints=tool.hints,
        permissions=tuple(dict.fromkeys((*reach, *tool.permissions))),
        labels=tuple(dict.fromkeys(tool.labels)),
        concurrency=table.instances,
    )
