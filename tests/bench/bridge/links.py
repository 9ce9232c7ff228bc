"""Agents in a ring whose links are cut, stand still and are reset at random.

Each publishes to the next, numbered, at a steady pace and through a link of its own; in the end
each has to have everything once and in order.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

from tests.bench.bridge.ring import Share
from tests.bench.bridge.stage import Actor, Stage

AGENTS, PROCESSES = 100, 4
PACE = 0.05
"""Seconds between two events of an agent."""
BEATS = {"heartbeat": 0.5, "lease": 1.5}
"""What the kernel is told here; a link that stands still is noticed after the lease."""
PATIENCE, LOOK = 30.0, 0.25
RINGS = {
    "python": (sys.executable, "-m", "tests.bench.bridge.ring"),
    "javascript": (shutil.which("node") or "node", str(Path(__file__).with_name("ring.mjs"))),
}
SOCKETS = {"python": "frames.sock", "javascript": "websocket.sock"}


async def links(stage: Stage, rings: str, seconds: float) -> dict[str, float]:
    """What was lost, doubled, out of order, and how long after its fault a link was up again.

    *rings*: the languages, with commas; a hundred agents each, at the same time.
    """
    languages = rings.split(",")
    _, told = await stage.invite("kernel", json.dumps({"plugins": {"bridge": BEATS}}))
    folder = Path(told["address"])
    names = {
        str(stage.folder / f"{language}{number}.sock"): str(folder / SOCKETS[language])
        for language in languages
        for number in range(AGENTS)
    }
    table = stage.folder / "links.json"
    table.write_text(json.dumps(names), encoding="utf-8")
    chaos = await stage.play("chaos", str(table))
    actors = [one for language in languages for one in await enlist(stage, language, folder)]
    count = int(seconds / PACE)
    for actor in actors:
        actor.tell(count=count, pace=PACE)
    faults = await chaos.ask(seconds=seconds)
    for actor in actors:
        await actor.hear()
    found = await outcome(actors, AGENTS * len(languages) * count)
    times = sorted(faults["times"])
    return found | {
        "faults": len(times) + faults["open"],
        "unrepaired": faults["open"],
        "p50_ms": times[len(times) // 2] * 1e3,
        "p95_ms": times[len(times) * 95 // 100] * 1e3,
        "slowest_ms": times[-1] * 1e3,
    }


async def enlist(stage: Stage, language: str, folder: Path) -> list[Actor]:
    """The processes of one language, each with its share of the ring."""
    token = (folder / "local.token").read_text(encoding="ascii").strip()
    size = AGENTS // PROCESSES
    found = []
    for first in range(0, AGENTS, size):
        share = Share(language, first, size, AGENTS, str(stage.folder), token)
        found.append(await stage.start(*RINGS[language], *share.arguments()))
    for actor in found:
        await actor.hear()
    return found


async def outcome(actors: list[Actor], expected: int) -> dict[str, float]:
    """What has arrived, when all has or after a while."""
    arrived = doubled = disordered = 0
    for _ in range(int(PATIENCE / LOOK)):
        told = [await actor.ask(look=True) for actor in actors]
        arrived, doubled, disordered = (
            sum(one[what] for one in told) for what in ("arrived", "doubled", "disordered")
        )
        if arrived >= expected:
            break
        await asyncio.sleep(LOOK)
    return {"lost": expected - arrived, "doubled": doubled, "disordered": disordered}
