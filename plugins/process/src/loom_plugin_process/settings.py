"""`[plugins.process]`: how all of them are kept."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifest describes, one field a setting."""

    start_timeout: float
    stop_timeout: float
    kill_after: float
    cancel_timeout: float
    health_interval: float
    health_timeout: float
    health_misses: int
    first_delay: float
    longest_delay: float
    jitter: float
    healthy_after: float
    max_restarts: int
    restart_window: float
    retry_after: float
    output_rate: int
