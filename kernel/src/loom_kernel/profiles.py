"""Profiles: which plugins run, and with which settings, under one name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from loom_kernel.config import Config, Source, load_config
from loom_kernel.errors import ConfigError, UnknownProfile
from loom_kernel.paths import Paths

DEFAULT = "desktop"


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named choice of plugins."""

    summary: str = ""
    extends: str = ""
    plugins: tuple[str, ...] = ()
    settings: dict[str, Any] = {}


def known_profiles(paths: Paths, config: Mapping[str, Any]) -> dict[str, Profile]:
    """The profiles that come with Loom, then the user's files, then the project's tables.

    Raises:
        ConfigError: one has an unknown key or a value of the wrong type.
    """
    raw: dict[str, Any] = tomllib.loads(
        Path(__file__).with_name("profiles.toml").read_text("utf-8")
    )
    for file in sorted((paths.config / "profiles").glob("*.toml")):
        raw[file.stem] = _read(file)
    raw.update(config.get("profiles", {}))
    return {name: _profile(name, table) for name, table in raw.items()}


def resolve_profile(name: str, known: Mapping[str, Profile]) -> Profile:
    """Profile *name* with what it extends folded in.

    Raises:
        UnknownProfile: there is none of that name.
        ConfigError: profiles extend each other in a circle.
    """
    seen: list[str] = []
    plugins: dict[str, None] = {}
    layers: list[dict[str, Any]] = []
    summary = known[name].summary if name in known else ""
    while name:
        if name in seen:
            raise ConfigError(f"profiles extend each other: {' → '.join([*seen, name])}")
        if name not in known:
            raise UnknownProfile(name, list(known))
        seen.append(name)
        plugins.update(dict.fromkeys(known[name].plugins))
        layers.append(known[name].settings)
        name = known[name].extends
    merged = Config([Source("profile", layer) for layer in reversed(layers)], {}).values
    return Profile(summary, "", tuple(sorted(plugins)), merged)


def load_profiled_config(
    paths: Paths,
    profile: str = "",
    overrides: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> tuple[Config, str, Profile]:
    """The configuration with the chosen profile's settings below it; its name; the profile.

    *profile* empty: the one that the configuration names, else `desktop`.
    """
    config = load_config(paths, overrides=overrides, environ=environ)
    name = profile or config.values.get("profile") or DEFAULT
    chosen = resolve_profile(str(name), known_profiles(paths, config.values))
    config = config.over(Source(f"profile {name}", chosen.settings))
    return config, str(name), chosen


def chosen_plugins(
    profile: Profile, config: Config, add: Iterable[str] = (), drop: Iterable[str] = ()
) -> list[str]:
    """The plugins to run: the profile's, changed by `enabled` in the configuration and by flags."""
    wanted = dict.fromkeys(profile.plugins, True)
    for name, table in config.values.get("plugins", {}).items():
        if isinstance(table, dict) and isinstance(table.get("enabled"), bool):
            wanted[name] = table["enabled"]
    wanted |= dict.fromkeys(add, True) | dict.fromkeys(drop, False)
    return sorted(name for name, on in wanted.items() if on)


def _read(file: Path) -> Any:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"not a profile: {error}", file) from error


def _profile(name: str, table: Any) -> Profile:
    try:
        return msgspec.convert(table, Profile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"profile {name!r}: {error}") from error
