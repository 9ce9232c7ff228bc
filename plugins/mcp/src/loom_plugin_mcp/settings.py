"""`[plugins.mcp]`."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What loom-plugin.toml describes; times in seconds, sizes in bytes."""

    start_timeout: float
    stop_timeout: float
    first_delay: float
    longest_delay: float
    max_restarts: int
    restart_window: float
    max_tools: int
    max_message: int
    max_result: int
    message_rate: int
    output_rate: int
    http: str
    serve: list[str]
    topics: list[str]

    @property
    def jitter(self) -> float:
        """Share by which a delay varies; see `loom.processes.RestartPolicy`."""
        return 0.2

    @property
    def healthy_after(self) -> float:
        """Seconds of running after which earlier failures no longer count."""
        return self.restart_window
