"""What `[agents.assistant]` in loom.toml may hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from loom_kernel import ConfigError


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See loom.toml, where each is explained."""

    llm: str = ""
    tools: tuple[str, ...] = ("web:search", "web:fetch", "fs:read_file", "fs:list_dir")
    max_iterations: int = 12
    research_iterations: int = 30
    remembers: int = 50


def read_settings(table: Mapping[str, Any]) -> Settings:
    """The settings in *table*.

    Raises:
        ConfigError: a key is unknown, or a value is of the wrong kind.
    """
    try:
        return msgspec.convert(dict(table), Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"[agents.assistant] in loom.toml: {error}") from None
