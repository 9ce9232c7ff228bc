"""`[plugins.memory]`."""

from __future__ import annotations

from typing import Any

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """See `loom-plugin.toml`, where each is explained."""

    vectors: str
    index: dict[str, Any]
    embedder: str
    embedding: dict[str, Any]
    half_life: float
    recency: float
    max_sessions: int
    patience: float
