"""The negative proof: of what is to stay here, nothing is ever seen elsewhere."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
from loom.contracts import ToolError
from loom.testing.models import Answer, Asked
from loom_kernel import Envelope, current
from loom_kernel.testing import wait_until

from plugins.router.tests.conftest import House, housed

pytestmark = pytest.mark.anyio
EVENTS = 300
HELD = {"private", "local-only"}
Connects = list[tuple[Any, frozenset[str]]]
_watching: list[Connects] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _watching:
        cause = current.get()
        labels = cause.labels if cause is not None else frozenset[str]()
        _watching[-1].append((arguments[1], labels))


sys.addaudithook(_hear)  # it cannot be removed; it hears only what is watched


@contextmanager
def connects() -> Iterator[Connects]:
    """Each connection that this process opens, with the labels of what was being handled."""
    found: Connects = []
    _watching.append(found)
    try:
        yield found
    finally:
        _watching.pop()


class Crowd:
    """Publishes events of all kinds and thinks about each, with models that fail at times."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.handled = 0
        self.routes: Counter[str] = Counter()
        self.held: list[str] = []
        self.free: list[str] = []
        self.refused = 0

    def script(self, share: float) -> Any:
        def answer(asked: Asked) -> Answer:
            if self.random.random() < share:
                return Answer(status=self.random.choice([429, 500, 503]))
            return Answer(f"re {asked.prompt}", cut=2 if self.random.random() < share / 2 else -1)

        return answer

    async def publish(self, house: House, number: int) -> None:
        level = self.random.choice(["", "public", "sensitive", "private", "local-only"])
        way = self.random.choice(["metadata", "label", "argument"])
        text = f"text {number:03d} {level or 'unsaid'}"
        (self.held if level in HELD else self.free).append(text)
        fields: dict[str, Any] = {"metadata": {"privacy": level}} if level else {}
        if way == "label" and level in HELD:
            fields = {"labels": [level]}
        data = {"text": text, "privacy": level if way == "argument" else ""}
        if way == "argument":
            fields = {}
        await house.runtime.host("user").publish("job", data, **fields)

    async def think(self, house: House, event: Envelope) -> None:
        wishes = {
            "quality": self.random.choice([0.3, 0.9]),
            "latency_ms": self.random.choice([1, 9000]),
            "stream": self.random.random() < 0.3,
        }
        if event.data["privacy"]:
            wishes["privacy"] = event.data["privacy"]
        try:
            answer = await house.think(event.data["text"], **wishes)
            self.routes[answer["decision"]["route"]] += 1
        except ToolError as error:
            self.routes[error.code] += 1
        if HELD & event.labels or event.data["privacy"] in HELD:
            await self.try_past_it(house, event)
        self.handled += 1

    async def try_past_it(self, house: House, event: Envelope) -> None:
        """What a careless agent would do next: ask the endpoint elsewhere by its name."""
        with pytest.raises(ToolError) as refused:
            await house.call({"prompt": event.data["text"], "model": "large"}, "llm:generate")
        assert refused.value.code == "PERMISSION_DENIED"
        self.refused += 1


@pytest.mark.feature("X-02", "RTE-02")
@pytest.mark.parametrize("learning", [False, True])
async def test_nothing_that_is_to_stay_here_is_seen_elsewhere(learning: bool) -> None:
    crowd = Crowd(7)
    llm: dict[str, Any] = {
        "small": {"fallback": ["large"], "retries": 1},
        "large": {"retries": 1},
    }

    async def handle(event: Envelope) -> None:
        await crowd.think(house, event)

    async with housed(
        crowd.script(0.25), crowd.script(0.15), "agents", sure=0.7, llm=llm,
        learning=learning, topics=["job"], cost_cap=1.0,
    ) as house:  # fmt: skip
        with connects() as opened, house.ada.on("job", handler=handle):
            for number in range(EVENTS):
                await crowd.publish(house, number)
                await wait_until(lambda number=number: crowd.handled > number, 20.0)  # type: ignore[misc]  # mypy cannot see the default
        seen = "\n".join(str(asked.body) for asked in house.there.requests)
        assert not [text for text in crowd.held if text in seen]
        assert sum(text in seen for text in crowd.free) > 20, "what may go did go"
        port = int(house.there.url.rsplit(":", 1)[1].removesuffix("/v1"))
        elsewhere = [labels for address, labels in opened if address[1] == port]
        assert elsewhere
        assert not [labels for labels in elsewhere if HELD & labels]
        failed = [event.data["error.type"] for event in house.events.on("llm.call.failed")]
        assert failed.count("MODEL_REFUSED") == crowd.refused, "the router never even tried"
    assert crowd.refused > 80
    assert len(crowd.held) > 80
    wanted = {"local", "local_fallback"} if learning else {"local", "hybrid", "local_fallback"}
    assert wanted <= set(crowd.routes), crowd.routes


@pytest.mark.feature("X-02")
async def test_with_a_broken_model_here_no_socket_opens_elsewhere() -> None:
    broken = lambda _: Answer(status=500)  # noqa: E731  # a script
    llm = {"small": {"fallback": ["large"], "retries": 2}}
    async with housed(here=broken, sure=0.1, llm=llm, privacy="local-only") as house:
        with connects() as opened:
            for number in range(10):
                with pytest.raises(ToolError) as failed:
                    await house.think(f"secret {number}")
                assert failed.value.code == "PROVIDER_UNAVAILABLE"
        port = int(house.there.url.rsplit(":", 1)[1].removesuffix("/v1"))
        assert {address[1] for address, _ in opened}.isdisjoint({port})
        assert house.there.connections == 0
