"""`[plugins.journal]`."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """See `loom-plugin.toml`, where each is explained."""

    store: str
    topics: tuple[str, ...]
    window: int
    deliveries: int
    crashes: int
    ack_wait: float
    background_sync: float
    max_lag: int
    keep: float
    record: bool
