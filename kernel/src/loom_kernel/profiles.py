"""Profiles: which plugins run, and with which settings, under one name."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import partial
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


def known_profiles(paths: Paths, config: Config) -> dict[str, Profile]:
    """The profiles that come with Loom, then the user's files, then the project's tables.

    Raises:
        ConfigError: one has an unknown key or a value of the wrong type.
    """
    shipped = tomllib.loads(Path(__file__).with_name("profiles.toml").read_text("utf-8"))
    found = {name: _profile(name, table, ConfigError) for name, table in shipped.items()}
    for file in sorted((paths.config / "profiles").glob("*.toml")):
        found[file.stem] = _profile(file.stem, _read(file), partial(ConfigError, file=file))
    own = config.values.get("profiles", {})
    if not isinstance(own, dict):
        raise config.complain(("profiles",), "'profiles' must be a table: write [profiles]")
    for name, table in own.items():
        found[name] = _profile(name, table, partial(config.complain, ("profiles", name)))
    return found


def resolve_profile(name: str, known: Mapping[str, Profile], config: Config) -> Profile:
    """Profile *name* with what it extends folded in.

    Raises:
        UnknownProfile: there is none of that name.
        ConfigError: profiles extend each other in a circle.
    """
    seen: list[str] = []
    plugins: dict[str, None] = {}
    layers: list[dict[str, Any]] = []
    summary = known[name].summary if name in known else ""
    place: tuple[str, ...] = ("profile",)
    while name:
        if name in seen:
            circle = f"profiles extend each other: {' → '.join([*seen, name])}"
            raise config.complain(("profiles", name, "extends"), circle)
        if name not in known:
            wrong = config.complain(place, name)
            raise UnknownProfile(name, list(known), wrong.file, wrong.line)
        place = ("profiles", name, "extends")
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
    if not isinstance(name, str):
        raise config.complain(("profile",), f"'profile' must be text, not {name!r}")
    if profile:
        config = Config(
            [*config.sources, Source("--profile", {"profile": profile})], config.variables
        )
    chosen = resolve_profile(name, known_profiles(paths, config), config)
    return config.over(Source(f"profile {name}", chosen.settings)), name, chosen


def chosen_plugins(
    profile: Profile, config: Config, add: Iterable[str] = (), drop: Iterable[str] = ()
) -> list[str]:
    """The plugins to run: the profile's, changed by `enabled` in the configuration and by flags."""
    wanted = dict.fromkeys(profile.plugins, True)
    tables = config.values.get("plugins")
    for name, table in tables.items() if isinstance(tables, dict) else ():
        if isinstance(table, dict) and isinstance(table.get("enabled"), bool):
            wanted[name] = table["enabled"]
    wanted |= dict.fromkeys(add, True) | dict.fromkeys(drop, False)
    return sorted(name for name, on in wanted.items() if on)


def _read(file: Path) -> Any:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"not a profile: {error}", file) from error


def _profile(name: str, table: Any, complain: Callable[[str], ConfigError]) -> Profile:
    try:
        return msgspec.convert(table, Profile)
    except msgspec.ValidationError as error:
        raise complain(f"profile {name!r}: {error}") from error
