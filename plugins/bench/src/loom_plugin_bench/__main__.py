"""One measurement in this process: `python -m loom_plugin_bench NAME SECONDS` prints JSON."""

from __future__ import annotations

import asyncio
import json
import sys

from loom_plugin_bench.cases import CASES


async def main(name: str, seconds: float) -> None:
    figures = await CASES[name](seconds)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
