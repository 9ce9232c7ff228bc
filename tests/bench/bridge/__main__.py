"""One measurement: `python -m tests.bench.bridge SCENARIO SYSTEM SECONDS [PYTHON]` prints JSON.

SYSTEM is who is in the middle, PYTHON that of its environment. `links` takes the languages instead;
for `kills` and `storm` it means nothing.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tests.bench.bridge.crashes import kills, storm
from tests.bench.bridge.links import links
from tests.bench.bridge.scenarios import SCENARIOS, Figures
from tests.bench.bridge.stage import stage

CRASHES = {"kills": kills, "storm": storm}


async def measure(scenario: str, system: str, seconds: float, python: str) -> Figures:
    async with stage() as found:
        if scenario in CRASHES:
            return await CRASHES[scenario](found)
        if scenario == "links":
            return await links(found, system, seconds)
        return await SCENARIOS[scenario](found, system, python, seconds)


def main(scenario: str, system: str, seconds: str, python: str = sys.executable) -> None:
    try:
        figures = asyncio.run(measure(scenario, system, float(seconds), python))
    except (RuntimeError, OSError, TimeoutError) as error:
        sys.exit(f"{scenario} of {system}: {type(error).__name__}: {error}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
