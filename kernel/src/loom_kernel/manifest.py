"""`loom-plugin.toml`: what a plugin is and asks for, read without importing it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from loom_kernel.errors import PluginError

Kind = Literal["string", "integer", "number", "boolean", "array", "table"]

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "table": (dict,),
}


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key under `[plugins.<name>]`."""

    type: Kind
    help: str
    default: Any = None
    choices: tuple[Any, ...] = ()
    min: float | None = None
    max: float | None = None

    def problem(self, value: Any) -> str:
        """What is wrong with *value*, or nothing."""
        is_flag = isinstance(value, bool) and self.type != "boolean"
        if is_flag or not isinstance(value, _TYPES[self.type]):
            return f"must be of type {self.type}, not {value!r}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"is {value!r}, must be finite"
        if self.choices and value not in self.choices:
            return f"is {value!r}, must be one of {', '.join(map(repr, self.choices))}"
        if isinstance(value, int | float):
            if self.min is not None and value < self.min:
                return f"is {value!r}, must be at least {self.min:g}"
            if self.max is not None and value > self.max:
                return f"is {value!r}, must be at most {self.max:g}"
        return ""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plugin's `loom-plugin.toml`."""

    hook_api: int
    name: str
    summary: str
    requires: tuple[str, ...] = ()
    """Plugins that must run; they are attached before and detached after this one."""
    after: tuple[str, ...] = ()
    """Plugins that are attached before this one, if they run at all."""
    permissions: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    """Top-level tables of `loom.toml` that are this plugin's."""
    commands: dict[str, str] = {}
    """`loom` commands it adds: name → one line of help."""
    topics: dict[str, str] = {}
    """What it publishes: pattern → what that means."""
    settings: dict[str, Setting] = {}

    def defaults(self) -> dict[str, Any]:
        """The settings nobody has set."""
        return {
            name: setting.default
            for name, setting in self.settings.items()
            if setting.default is not None
        }


def read_manifest(plugin: str, raw: Mapping[str, Any], hook_api: int) -> Manifest:
    """The manifest in *raw* (parsed TOML) of *plugin*.

    Raises:
        PluginError: it has another shape, name or hook API; the message says which and why.
    """
    asked = raw.get("hook_api")
    if isinstance(asked, int) and asked != hook_api:
        older = "an older Loom: upgrade the plugin" if asked < hook_api else "a newer Loom"
        raise PluginError(
            plugin, "manifest", f"hook_api is {asked}, this Loom has {hook_api}; it wants {older}"
        )
    try:
        manifest = msgspec.convert(raw, Manifest)
    except msgspec.ValidationError as error:
        raise PluginError(plugin, "manifest", f"loom-plugin.toml: {error}") from error
    if manifest.name != plugin:
        raise PluginError(
            plugin,
            "manifest",
            f"loom-plugin.toml calls it {manifest.name!r}, its entry point {plugin!r}",
        )
    for name, setting in manifest.settings.items():
        if setting.default is not None and (problem := setting.problem(setting.default)):
            raise PluginError(plugin, "manifest", f"default of setting {name!r} {problem}")
    return manifest


def nearest(word: str, known: list[str]) -> str:
    """`; did you mean 'x'?` if something known is near *word*, else what there is."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(sorted(known))}" if known else ""
