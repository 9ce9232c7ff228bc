"""What a run is there for: events that it begins with, and the one that ends it."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from loom.instance import APP
from loom_kernel import (
    Host,
    LoomError,
    Runtime,
    Subscription,
    check_pattern,
    check_topic,
    encode_json,
    matches,
)

from loom_plugin_control.operations import CLIENT

TABLE = "run"
PATIENCE = 30.0
"""Seconds that the app has to be there for what is published."""


class Errand:
    """Publishes *events* (topic, data) in turn once somebody listens; ends the run by *until*.

    Raises:
        ValueError: a topic or a pattern is none, or belongs to the runtime.
    """

    def __init__(self, events: Sequence[tuple[str, Any]], until: str = "") -> None:
        for topic, _ in events:
            if check_topic(topic).startswith("$"):
                raise ValueError(f"{topic!r}: topics that begin with $ are the runtime's own")
        self._events = events
        self._until = check_pattern(until) if until else ""
        self._is_done = not until
        self._has_failed = False

    @property
    def has_failed(self) -> bool:
        """Whether what was wanted did not come about (known when the run is over)."""
        return self._has_failed or not self._is_done

    def begin(self, runtime: Runtime) -> None:
        """The runtime is ready: publish, and watch."""
        host = runtime.host(CLIENT)
        if self._until:
            awaited = host.subscribe(self._until, name=f"until:{self._until}")
            host.spawn(self._wait(host, awaited), "until")
        if self._events:
            host.spawn(self._publish(host), "publish")

    async def _wait(self, host: Host, awaited: Subscription) -> None:
        event = await awaited.receive()
        if event is None:
            return  # the run was ended otherwise
        awaited.settle(event)
        click.echo(encode_json(event.data))
        self._is_done = True
        host.stop_runtime()

    async def _publish(self, host: Host) -> None:
        try:
            for topic, data in self._events:
                await _wait_listener(host, topic)
                await host.publish(topic, data)
        except (LoomError, TimeoutError) as error:
            click.echo(f"loom: {error}; nothing more was published", err=True)
            self._has_failed = True
            host.stop_runtime()


def asked(project: Path, text: str) -> tuple[tuple[str, Any], str]:
    """What the app in *project* takes a query of a person by: topic and data; and what ends it.

    Raises:
        ValueError: its loom.toml does not say.
    """
    table = tomllib.loads((project / APP).read_text("utf-8")).get(TABLE, {})
    topic = table.get("query", "")
    if not topic:
        raise ValueError(
            f"{project / APP} does not say what takes a query ([run] query = TOPIC); publish an "
            "event instead: --publish TOPIC JSON"
        )
    return (topic, {"query": text}), table.get("until", "")


async def _wait_listener(host: Host, topic: str) -> None:
    """Wait until somebody hears *topic*: processes of agents come later than the runtime.

    Raises:
        TimeoutError: nobody does.
    """
    with host.subscribe("agent.*.started", name=f"listeners:{topic}") as started:
        try:
            async with asyncio.timeout(PATIENCE):
                while not _is_heard(host, topic) and await started.receive() is not None:
                    continue
        except TimeoutError:
            raise TimeoutError(f"nobody listens to {topic!r} after {PATIENCE:g} s") from None


def _is_heard(host: Host, topic: str) -> bool:
    return any(
        known["subscriber"] != CLIENT
        and any(matches(pattern, topic) for pattern in known["patterns"])
        for known in host.status()["subscriptions"]
    )
