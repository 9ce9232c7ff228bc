"""What all questions of a day may take together, whoever asks and whatever causes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from loom.contracts import ModelError
from loom_kernel import Clock, ConfigError, private_dir

UNITS = ("tokens", "money")
DAY = 86_400.0


class Spent(msgspec.Struct):
    """What was spent on *day*, counted from 1970-01-01 UTC."""

    day: int = 0
    tokens: float = 0.0
    money: float = 0.0


class Allowance:
    """Keeps the count in *path*, so that a restart does not begin it anew. *limits* by unit.

    Raises:
        ConfigError: a limit has another unit, or is less than 0.
    """

    def __init__(self, path: Path, clock: Clock, limits: Mapping[str, float]) -> None:
        if unknown := [unit for unit in limits if unit not in UNITS]:
            known = " and ".join(UNITS)
            raise ConfigError(f"'daily' in [plugins.models] limits {known}, not {unknown[0]!r}")
        if any(not limit >= 0 for limit in limits.values()):
            raise ConfigError("a limit of 'daily' in [plugins.models] is less than 0")
        self._path = path
        self._clock = clock
        self._limits = dict(limits)
        self._spent = self._read()

    def left(self) -> dict[str, float]:
        """What may still be spent today, by unit; units without a limit are not there."""
        spent = self._today()
        return {unit: limit - getattr(spent, unit) for unit, limit in self._limits.items()}

    def spend(self, costs: Mapping[str, float]) -> None:
        """Take *costs* from what is left of today.

        Raises:
            ModelError: it would be more; nothing is taken.
        """
        left = self.left()
        for unit, cost in costs.items():
            if unit in left and cost > left[unit]:
                raise ModelError(
                    "", "MODEL_REFUSED",
                    f"today's {self._limits[unit]:g} {unit} are spent but for "
                    f"{max(left[unit], 0):g}; they begin anew at 00:00 UTC, or raise 'daily' in "
                    "[plugins.models]",
                    is_final=True,
                )  # fmt: skip
        self.settle(costs)

    def settle(self, costs: Mapping[str, float]) -> None:
        """Take *costs* that have arisen already; less than 0 gives back."""
        if not self._limits:
            return
        spent = self._today()
        for unit in UNITS:
            setattr(spent, unit, max(getattr(spent, unit) + costs.get(unit, 0.0), 0.0))
        self._write()

    def _today(self) -> Spent:
        day = int(self._clock.time() // DAY)
        if day > self._spent.day:  # a clock that was set back does not make a new day
            self._spent = Spent(day)
        return self._spent

    def _read(self) -> Spent:
        if not self._limits:
            return Spent()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Spent)
        except FileNotFoundError:
            return Spent()
        except msgspec.MsgspecError as error:
            raise ConfigError(
                f"{self._path} cannot be read ({error}); remove it to begin the day anew"
            ) from None

    def _write(self) -> None:
        private_dir(self._path.parent)
        written = self._path.with_suffix(".new")
        written.write_bytes(msgspec.json.encode(self._spent))
        written.replace(self._path)
