"""What a decision costs, and what learning saves: `python -m tests.bench.router CASE SECONDS`.

Prints JSON figures. Times are of one decision about a short question, in µs; the log, the event
`router.decided` and the estimator are part of it. The workload is replayed, no model is asked.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from loom.contracts import Router, RouteRequest
from loom_kernel.testing import running

from plugins.router.tests.workload import replay

QUESTION = "Summarise this letter in one sentence, please."
BATCH = 50
WARM = 10
ELSEWHERE = {"is_local": False, "trusted": True, "input_price": 1.0, "output_price": 5.0}
SEEDS, QUESTIONS = 5, 4_000
Once = Callable[[], object]


@asynccontextmanager
async def lookup() -> AsyncIterator[Once]:
    """The limit: a table of models by type of event."""
    table = {"thought": "small", "other": "large"}
    kind = "thought"
    yield lambda: table[kind]


@asynccontextmanager
async def deciding(**settings: Any) -> AsyncIterator[Once]:
    own = {"model": "m", "api_base": "http://127.0.0.1:9/v1"}
    llm = {"small": own, "middle": {**own, **ELSEWHERE}, "large": {**own, **ELSEWHERE}}
    config = {"llm": llm, "plugins": {"router": {"latency_budget_ms": 5_000, **settings}}}
    async with running("models", "router", config=config) as runtime:
        router = runtime.host("ada").require(Router)
        details = {"text": QUESTION, "characters": len(QUESTION), "tools": 0}
        request = RouteRequest("ada", "thought", details=details)
        yield lambda: router.decide(request)


CASES: dict[str, Callable[[], Any]] = {
    "lookup": lookup,
    "fixed": deciding,
    "learning": lambda: deciding(learning=True),
}


async def measure(case: str, seconds: float) -> dict[str, float]:
    """Decide as often as fits into *seconds*, in batches."""
    times: list[float] = []
    async with CASES[case]() as once:
        end = perf_counter() + seconds
        while perf_counter() < end or len(times) < 2 * WARM:
            began = perf_counter()
            for _ in range(BATCH):
                once()
            times.append((perf_counter() - began) / BATCH)
            await asyncio.sleep(0)
    ordered = sorted(times[WARM:])
    return {"p50_us": at(ordered, 0.5), "p99_us": at(ordered, 0.99)}


def at(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e6


def workload() -> dict[str, float]:
    """Means over a few days of questions, in per cent."""
    days = [replay(seed, QUESTIONS) for seed in range(SEEDS)]
    return {
        "saved": sum(day.saved for day in days) / SEEDS * 100,
        "quality": sum(day.quality / day.best_quality for day in days) / SEEDS * 100,
        "early_regret": sum(day.early_regret for day in days) / SEEDS * 100,
        "late_regret": sum(day.late_regret for day in days) / SEEDS * 100,
    }


def main() -> None:
    case, seconds = sys.argv[1], float(sys.argv[2])
    found = workload() if case == "workload" else asyncio.run(measure(case, seconds))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
