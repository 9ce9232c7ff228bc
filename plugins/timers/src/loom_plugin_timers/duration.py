"""Durations as people write them: `90`, `"15m"`, `"1h30m"`."""

from __future__ import annotations

import math
import re

_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)"
_WHOLE = re.compile(rf"(?:{_PART}\s*)+", re.ASCII)
_LONGEST = 100 * 366 * 86_400_000


def milliseconds(duration: str | float) -> int:
    """The length of *duration*, a number of seconds or text such as `1h30m`.

    Raises:
        ValueError: it is not a duration, or longer than a century.
    """
    length = _parse(duration.strip()) if isinstance(duration, str) else duration * 1000
    if not math.isfinite(length) or not 0 <= length <= _LONGEST:
        raise ValueError(f"{duration!r} is not a duration between zero and 100 years")
    return round(length)


def _parse(text: str) -> float:
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration; write seconds, or text such as '1h30m'")
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))
