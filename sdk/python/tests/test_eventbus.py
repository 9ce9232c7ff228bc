"""The event bus of one run: listeners by type, children that bubble up."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial

import pytest
from loom import EventBus

pytestmark = pytest.mark.anyio


@dataclass
class Event:
    type: str
    value: int = 0


async def test_listeners_are_called_in_order_by_type() -> None:
    bus, seen = EventBus("run"), list[str]()

    async def later(event: Event) -> None:
        seen.append(f"async {event.type}")

    bus.on("step", lambda event: seen.append(f"step {event.value}"))
    bus.on_pattern("st?p*", later)
    bus.on_all(lambda event: seen.append(f"all {event.type}"))
    await bus.emit(Event("step", 1))
    await bus.emit(Event("other"))
    assert seen == ["step 1", "async step", "all step", "all other"]


async def test_a_type_with_wildcards_in_its_name_is_only_itself() -> None:
    bus, seen = EventBus("run"), list[str]()
    bus.on("a*", lambda event: seen.append(event.type))
    await bus.emit(Event("abc"))
    await bus.emit(Event("a*"))
    assert seen == ["a*"]


async def test_events_of_a_child_reach_its_parents_after_its_own() -> None:
    root, seen = EventBus("root"), list[str]()
    child = root.create_child("child")
    grandchild = child.create_child("grandchild")

    def note(name: str, event: Event) -> None:
        seen.append(name)

    for bus in (root, child, grandchild):
        bus.on("x", partial(note, bus.node_id))
    await grandchild.emit(Event("x"))
    assert seen == ["grandchild", "child", "root"]
    seen.clear()
    await root.emit(Event("x"))
    assert seen == ["root"]
    assert (child.parent, grandchild.node_id) == (root, "grandchild")


async def test_a_listener_can_be_removed_in_two_ways() -> None:
    bus, seen = EventBus("run"), list[int]()

    def listen(event: Event) -> None:
        seen.append(event.value)

    remove = bus.on("x", listen)
    remove()
    remove()
    for type in ("x", "*"):
        bus.on_pattern(type, listen)
        bus.off(type, listen)
    bus.on("x", listen)
    bus.off("x", listen)
    await bus.emit(Event("x"))
    assert seen == []


async def test_a_listener_that_raises_is_logged_and_the_next_is_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, seen = EventBus("run"), list[int]()

    def fail(event: Event) -> None:
        raise ValueError("no")

    bus.on("x", fail)
    bus.on("x", lambda event: seen.append(event.value))
    with caplog.at_level(logging.ERROR):
        await bus.emit(Event("x", 3))
    assert seen == [3]
    assert "a listener of run failed on x" in caplog.text
