"""`[plugins.models]`."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """See `loom-plugin.toml`, where each is explained."""

    default: str
    concurrency: int
    daily: dict[str, float]
