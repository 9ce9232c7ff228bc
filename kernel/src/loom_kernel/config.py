"""The configuration: flags > environment > project > user > defaults, and exact complaints.

    [plugins.files]       what a plugin's manifest lists under `settings`
    [bus]                 backlogs and limits
    [kernel]              time limits of start and stop
    profile = "desktop"   which plugins run

`${NAME}` in a text becomes the environment's value, or that of a `.env` file in the project's
folder or above it; an unknown name stays as it is. Every complaint names file and line.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from loom_kernel.errors import ConfigError
from loom_kernel.manifest import Manifest, Setting, nearest
from loom_kernel.paths import Paths

FILE = "loom.toml"
ENVIRONMENT = "LOOM_"
_RESERVED = {"LOOM_STATE_DIR", "LOOM_READY_FD", "LOOM_TEST_REQUIRE"}


class BusSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[bus]`."""

    realtime: int = 64
    batched: int = 1024
    background: int = 4096
    threshold: int = 10_000
    credit_timeout: float = 30.0
    max_payload: int = 1 << 20


class KernelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[kernel]`; all in seconds."""

    import_timeout: float = 2.0
    attach_timeout: float = 4.0
    drain_timeout: float = 20.0
    detach_timeout: float = 3.0


class Source(msgspec.Struct, frozen=True):
    """One layer: its values and, for complaints, where they stand."""

    name: str
    values: dict[str, Any]
    text: str = ""

    def line(self, path: tuple[str, ...]) -> int:
        """The line that sets *path*, or the nearest thing above it; 0 outside files."""
        return _find_line(self.text, path) if self.text else 0


class Config:
    """The merged configuration. Nothing in it is checked until `check` has been called."""

    def __init__(self, sources: Iterable[Source], variables: Mapping[str, str]) -> None:
        self.sources = list(sources)
        self.variables = variables
        merged: dict[str, Any] = {}
        for source in self.sources:
            merged = _merge(merged, source.values)
        self.values: dict[str, Any] = _expand(merged, variables)

    def over(self, lower: Source) -> Config:
        """The same, with *lower* below all other layers."""
        return Config([lower, *self.sources], self.variables)

    def complain(self, path: tuple[str, ...], problem: str) -> ConfigError:
        """An error at the place where the strongest layer sets *path*."""
        for source in reversed(self.sources):
            if _holds(source.values, path):
                return ConfigError(problem, source.name, source.line(path))
        return ConfigError(problem)

    def check(self, manifests: Mapping[str, Manifest], unusable: Iterable[str] = ()) -> None:
        """Hold every key against what is known.

        Raises:
            ConfigError: the first wrong one, with file, line and the nearest right one.
        """
        owned = {table for manifest in manifests.values() for table in manifest.tables}
        schema: dict[str, Any] = {**known_tables(), **dict.fromkeys(owned, None)}
        top = [*_SCALARS, "bus", "kernel", "plugins", "profiles", *schema]
        for name, value in self.values.items():
            if name not in top:
                raise self.complain((name,), f"unknown key {name!r}{nearest(name, top)}")
            if name in _SCALARS and not isinstance(value, str):
                raise self.complain((name,), f"{name!r} must be text, not {value!r}")
            if name not in _SCALARS and not isinstance(value, dict):
                raise self.complain((name,), f"{name!r} must be a table: write [{name}]")
        self.section("bus", BusSettings)
        self.section("kernel", KernelSettings)
        for name, table in self.values.get("plugins", {}).items():
            if name not in unusable:
                self._check_plugin(name, table, manifests)
        for name, keys in schema.items():
            if isinstance(keys, dict) and name in self.values:
                self._check_table((name,), self.values[name], keys)

    def section(self, name: str, shape: type[Any]) -> Any:
        """The table *name* as an instance of *shape* (a `msgspec.Struct`)."""
        table = self.values.get(name, {})
        for key in table:
            if key not in shape.__struct_fields__:
                known = list(shape.__struct_fields__)
                raise self.complain(
                    (name, key), f"unknown key {key!r} in [{name}]{nearest(key, known)}"
                )
        for key, value in table.items():
            try:
                msgspec.convert({key: value}, shape)
            except msgspec.ValidationError as error:
                raise self.complain((name, key), f"{key!r} in [{name}]: {error}") from None
            if isinstance(value, int | float) and not 0 < value < math.inf:
                raise self.complain((name, key), f"{key!r} in [{name}] must be more than 0")
        return msgspec.convert(table, shape)

    def settings(self, manifest: Manifest) -> dict[str, Any]:
        """The settings of one plugin, defaults included."""
        own = self.values.get("plugins", {}).get(manifest.name, {})
        return {**manifest.defaults(), **{k: v for k, v in own.items() if k != "enabled"}}

    def _check_plugin(self, name: str, table: Any, manifests: Mapping[str, Manifest]) -> None:
        path = ("plugins", name)
        if name not in manifests:
            hint = nearest(name, list(manifests))
            raise self.complain(path, f"[plugins.{name}]: no such plugin is installed{hint}")
        if not isinstance(table, dict):
            raise self.complain(path, f"plugins.{name} must be a table, not {table!r}")
        enabled = Setting("boolean", "whether it runs")
        self._check_table(path, table, {**manifests[name].settings, "enabled": enabled})

    def _check_table(
        self, path: tuple[str, ...], table: dict[str, Any], keys: Mapping[str, Any]
    ) -> None:
        """*keys* maps a key to its setting; `*` stands for tables of any name."""
        where = f"[{'.'.join(path)}]"
        for key, value in table.items():
            wanted = keys.get(key, keys.get("*"))
            if wanted is None:
                hint = nearest(key, list(keys))
                raise self.complain((*path, key), f"unknown key {key!r} in {where}{hint}")
            if isinstance(wanted, Setting):
                if problem := wanted.problem(value):
                    raise self.complain((*path, key), f"{key!r} in {where} {problem}")
            elif not isinstance(value, dict):
                raise self.complain((*path, key), f"{key!r} in {where} must be a table")
            else:
                self._check_table((*path, key), value, wanted)


_SCALARS = ("name", "version", "description", "profile")


def load_config(
    paths: Paths, *, overrides: Iterable[str] = (), environ: Mapping[str, str] | None = None
) -> Config:
    """Read every layer; *overrides* are `--set` flags like `plugins.files.settle=1.5`.

    Raises:
        ConfigError: a file cannot be read or is not TOML, or a flag has another form.
    """
    environ = os.environ if environ is None else environ
    candidates = [paths.config / "config.toml"]
    variables = dict(environ)
    if paths.project is not None:
        candidates.append(paths.project / FILE)
        variables = {**_dotenv(paths.project), **variables}
    sources = [_read(file) for file in candidates if file.is_file()]
    sources.append(Source("environment", _from_environment(environ)))
    sources.append(Source("--set", _from_flags(overrides)))
    return Config(sources, variables)


def known_tables() -> dict[str, Any]:
    """The tables whose owners may not be installed: key → setting, tables nested."""
    raw = tomllib.loads(Path(__file__).with_name("tables.toml").read_text("utf-8"))
    return {name: _schema(keys) for name, keys in raw.items()}


def _schema(keys: dict[str, Any]) -> dict[str, Any] | Setting:
    if keys.get("free"):
        return Setting("table", "")
    return {
        key: msgspec.convert({"type": kind, "help": ""}, Setting)
        if isinstance(kind, str)
        else _schema(kind)
        for key, kind in keys.items()
    }


def _read(file: Path) -> Source:
    text = ""
    try:
        text = file.read_text("utf-8")
        return Source(str(file), tomllib.loads(text), text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        raise ConfigError(f"not TOML: {error}", file, line) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8: {error}", file, 1) from error
    except RecursionError as error:
        raise ConfigError("nested too deep", file, 1) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file) from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT) and "__" in name and name not in _RESERVED:
            _put(values, name[len(ENVIRONMENT) :].lower().split("__"), environ[name])
    if profile := environ.get("LOOM_PROFILE"):
        values["profile"] = profile
    return values


def _from_flags(overrides: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for flag in overrides:
        path, equals, value = flag.partition("=")
        if not equals or not all(path.split(".")):
            raise ConfigError(f"--set {flag!r}: write it as table.key=value")
        _put(values, path.split("."), value)
    return values


def _put(values: dict[str, Any], path: list[str], text: str) -> None:
    for name in path[:-1]:
        below = values.setdefault(name, {})
        values = below if isinstance(below, dict) else values
    try:
        values[path[-1]] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[path[-1]] = text


def _merge(low: dict[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        below = merged.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        merged[key] = _merge(below, value) if both else value  # type: ignore[arg-type]  # both are
    return merged


def _expand(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        known = lambda m: variables.get(m[1] or m[2], m[0])  # noqa: E731  # used once, below
        return re.sub(r"\$(?:\{(\w+)\}|(\w+))", known, value) if "$" in value else value
    if isinstance(value, dict):
        return {key: _expand(below, variables) for key, below in value.items()}
    if isinstance(value, list):
        return [_expand(below, variables) for below in value]
    return value


def _dotenv(folder: Path) -> dict[str, str]:
    """The nearest `.env` at or above *folder*; lines of NAME=value, `export` and quotes allowed."""
    file = next((f for f in (d / ".env" for d in (folder, *folder.parents)) if f.is_file()), None)
    values: dict[str, str] = {}
    try:
        lines = file.read_text("utf-8").splitlines() if file else ()
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8: {error}", file or "", 1) from error
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip().strip("\"'")
    return values


def _holds(values: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(values, dict) or name not in values:
            return False
        values = values[name]
    return True


def _find_line(text: str, path: tuple[str, ...]) -> int:
    """Where *path* is set: its key under its table's header, else its nearest header."""
    table: tuple[str, ...] = ()
    best = (0, 1)
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line)
        if header:
            table = here = _keys(header[1])
        elif assigned := re.match(r"""\s*((?:[\w.\- ]|"[^"]*"|'[^']*')+?)\s*=""", line):
            here = table + _keys(assigned[1])
        else:
            continue
        pairs = zip(here, path, strict=False)
        shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        if shared > best[0]:
            best = (shared, number)
    return best[1]


def _keys(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))
