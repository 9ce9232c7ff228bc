"""The `[plugins.timers]` table."""

from __future__ import annotations

import msgspec

from loom_plugin_timers.spec import TimerSpec, check_name, find_zone


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Defaults of all timers, and the timers of the configuration by name.

    Raises:
        ValueError: a value is wrong; the text names it.
    """

    timezone: str = "local"
    catch_up: int = 100
    limit: int = 1000
    timer: dict[str, TimerSpec] = {}

    def __post_init__(self) -> None:
        if self.catch_up < 1 or self.limit < 0:
            raise ValueError("catch_up is at least 1 and limit at least 0")
        find_zone(self.timezone)
        for name in self.timer:
            check_name(name)
