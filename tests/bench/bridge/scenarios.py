"""What happens between the processes of one system: events, a request, many requests."""

from __future__ import annotations

from time import perf_counter

from tests.bench.bridge.roles import ANSWERED_INSIDE, ASKED
from tests.bench.bridge.stage import Actor, Stage, cpu_of
from tests.bench.bridge.systems import SYSTEMS

Figures = dict[str, float]
WARM = 0.2
"""Seconds of the same, before anything is measured."""
FLIGHT = 64


async def events(stage: Stage, system: str, python: str, seconds: float) -> Figures:
    """One publishes, one receives; CPU time of both and of what is between them."""
    link = SYSTEMS[system].link
    middle, address = await SYSTEMS[system].middle(stage, python)
    where = (address, str(stage.folder))
    taker = await stage.play(link, "subscriber", *where, python=python)
    giver = await stage.play(link, "publisher", *where, python=python)
    await pass_on(giver, taker, WARM)
    actors = (giver, middle, taker)
    before, began = [actor.cpu for actor in actors], perf_counter()
    sent = await pass_on(giver, taker, seconds)
    wall = perf_counter() - began
    spent = [actor.cpu - earlier for actor, earlier in zip(actors, before, strict=True)]
    names = ("publisher_us", "middle_us", "subscriber_us")
    shares = {name: cpu / sent * 1e6 for name, cpu in zip(names, spent, strict=True)}
    return {"rate": sent / sum(spent), "wall_second": sent / wall, **shares}


async def pass_on(giver: Actor, taker: Actor, seconds: float) -> int:
    """Let events pass for *seconds*; how many did. All that were sent arrive, or it fails."""
    told = await giver.ask(seconds=seconds)
    await taker.ask(expect=told["total"])
    return int(told["sent"])


async def request(stage: Stage, system: str, python: str, seconds: float) -> Figures:
    """One asks, and waits for each answer before it asks again; a third process answers."""
    link = SYSTEMS[system].link
    _, address = await SYSTEMS[system].middle(stage, python)
    where = (address, str(stage.folder))
    if system != "echo":
        await stage.play(link, "responder", *where, python=python)
    asker = await stage.play(link, "requester", *where, python=python)
    await asker.ask(topic=ASKED, seconds=WARM, flight=1)
    told = await asker.ask(topic=ASKED, seconds=seconds, flight=1)
    return {"p50_us": told["p50_us"], "p99_us": told["p99_us"]}


async def flight(stage: Stage, system: str, python: str, seconds: float) -> Figures:
    """One process has many requests under way; what is in the middle answers them itself."""
    topic = "unary" if system == "echo" else ANSWERED_INSIDE
    middle, address = await SYSTEMS[system].middle(stage, python)
    link = SYSTEMS[system].link
    asker = await stage.play(link, "requester", address, str(stage.folder), python=python)
    await asker.ask(topic=topic, seconds=WARM, flight=FLIGHT)
    before = cpu_of((asker, middle))
    told = await asker.ask(topic=topic, seconds=seconds, flight=FLIGHT)
    spent = cpu_of((asker, middle)) - before
    return {"rate": told["count"] / spent, "wall_second": told["count"] / told["wall"]}


SCENARIOS = {"events": events, "request": request, "flight": flight}
