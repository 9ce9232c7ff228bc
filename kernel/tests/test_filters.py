"""Filters see, replace or refuse what is published, in order and only where they match."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from loom_kernel import Envelope, Host, InvalidEnvelope, Runtime

pytestmark = [pytest.mark.anyio, pytest.mark.feature("BUS-01")]


async def test_filters_run_in_order_where_they_match(host: Host, take: Any) -> None:
    def note(name: str) -> Any:
        def passed(envelope: Envelope) -> Envelope:
            return msgspec.structs.replace(envelope, tags=(*envelope.tags, name))

        return passed

    host.add_filter(note("last"), order=9)
    host.add_filter(note("first"), "a.*", order=-1)
    host.add_filter(note("elsewhere"), "b.>")
    received = host.subscribe(">")
    await host.publish("a.x")
    await host.publish("c")
    tags = [event.tags for event in await take(received, 2)]
    assert tags == [("first", "last"), ("last",)]


async def test_a_filter_that_refuses_stops_the_event(host: Host, runtime: Runtime) -> None:
    def refuse(envelope: Envelope) -> Envelope:
        raise InvalidEnvelope(envelope.topic, "data", "is not wanted here")

    received = host.subscribe("a")
    host.add_filter(refuse, "a")
    with pytest.raises(InvalidEnvelope, match="not wanted here"):
        await host.publish("a")
    assert received.queued == 0
    assert [known.published for known in runtime.bus.topics() if known.topic == "a"] == [0]


async def test_a_filter_goes_with_its_host(host: Host, other: Host) -> None:
    seen: list[str] = []

    def watch(envelope: Envelope) -> Envelope:
        seen.append(envelope.topic)
        return envelope

    other.add_filter(watch, "a")
    await host.publish("a")
    await other.aclose()
    await host.publish("a")
    assert seen == ["a"]


async def test_a_filter_sees_what_nobody_subscribes_to(host: Host) -> None:
    seen: list[Envelope] = []

    def watch(envelope: Envelope) -> Envelope:
        seen.append(envelope)
        return envelope

    host.add_filter(watch)
    assert await host.publish("void") == 0
    assert [event.topic for event in seen] == ["void"]
