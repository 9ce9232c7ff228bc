"""`[plugins.agents]`."""

from __future__ import annotations

from typing import Literal

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifest describes, one field a setting."""

    folder: str
    reload: bool
    run: Literal["embedded", "process"]
    environment: list[str]
    start_timeout: float
    stop_timeout: float
    kill_after: float
    first_delay: float
    longest_delay: float
    jitter: float
    healthy_after: float
    max_restarts: int
    restart_window: float
    retry_after: float
    output_rate: int
