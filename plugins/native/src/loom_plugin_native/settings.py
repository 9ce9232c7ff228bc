"""What `[workspace]` and `[plugins.native]` in loom.toml may hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from loom_kernel import ConfigError, Paths

ROOT = "workspace"
KEYS = ("root", "reports_dir")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.native]`; what each means is in the manifest."""

    programs: tuple[str, ...]
    program: dict[str, Any]
    web_hosts: tuple[str, ...]
    web_addresses: tuple[str, ...]
    web_cache: float
    brave_key: str
    brave_url: str
    weather_url: str
    geocoding_url: str


def make_workspace(table: Mapping[str, Any], paths: Paths) -> Path:
    """Return the folder that `root` in *table* means, made if need be. Blocks.

    It is relative to the project folder, or to the plugin's state folder where there is none.

    Raises:
        ConfigError: `root` is not text.
    """
    for key in table:
        if key not in KEYS:
            raise ConfigError(f"unknown key {key!r} in [workspace]; known: {', '.join(KEYS)}")
    root = table.get("root", ROOT)
    if not isinstance(root, str) or not root:
        raise ConfigError(f"'root' in [workspace] must be the name of a folder, not {root!r}")
    folder = (paths.project or paths.state) / Path(root).expanduser()
    # A new one is its owner's alone; the folders above it are as the person's umask wants them.
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
