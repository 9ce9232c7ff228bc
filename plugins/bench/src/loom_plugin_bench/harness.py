"""Runs measurements fairly: a fresh process each, all in turn, round by round."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

Figures = dict[str, float]
PATIENCE = 120.0
"""Seconds until a measurement is given up."""


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: a command whose last line of output is its figures as a JSON object."""

    name: str
    command: tuple[str, ...]
    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is set besides the environment of this process."""

    def run(self) -> Figures:
        """Measure once.

        Raises:
            RuntimeError: it failed; the message says why.
        """
        try:
            done = subprocess.run(
                self.command, cwd=self.folder, env={**os.environ, **self.environment},
                capture_output=True, text=True, timeout=PATIENCE, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RuntimeError(str(error)) from error
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise RuntimeError(lines[-1])
        return {name: float(value) for name, value in json.loads(_last_line(done.stdout)).items()}


@dataclass(slots=True)
class Measured:
    """What the rounds of one case gave; *problem* says why it could not be measured."""

    rounds: list[Figures] = field(default_factory=list)
    problem: str = ""


def measure(
    cases: Iterable[Case], rounds: int, progress: Callable[[int, str], None]
) -> dict[str, Measured]:
    """Run each of *cases* once a round and return the results by name.

    A case that fails is not run again. *progress* is told the round (from 1) and the name.
    """
    waiting = list(cases)
    found = {case.name: Measured() for case in waiting}
    for turn in range(1, rounds + 1):
        for case in waiting:
            result = found[case.name]
            if result.problem:
                continue
            progress(turn, case.name)
            try:
                result.rounds.append(case.run())
            except RuntimeError as error:
                result.problem = str(error)
    return found


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
