"""Loom's own figures, through a host as a plugin has it.

"Everything on" is a whole envelope made and stamped for each event, batched quality of service
(nothing may be lost), the accounts, and one filter that sees every event. A measurement whose
accounts do not come out even at the end is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from loom_kernel import Envelope, Host, Subscription, TopicMap
from loom_kernel.testing import running

from loom_plugin_bench.matching import hot_topics, new_topics, patterns, per_lookup
from loom_plugin_bench.workload import (
    BURST,
    Meter,
    Sink,
    Stopwatch,
    batch_of,
    drive,
    drive_paced,
    topic_names,
)

CAPACITY = 1024
"""Room for more than one burst, so that realtime loses nothing here either."""
CHANGE_EVERY = 1_000

Qos = Literal["realtime", "batched", "background"]
Figures = dict[str, float]


def let_pass(envelope: Envelope) -> Envelope:
    """A filter that sees every event and changes none."""
    return envelope


@asynccontextmanager
async def bench_host(*, is_filtered: bool) -> AsyncIterator[Host]:
    async with running() as runtime:
        host = runtime.host("bench")
        if is_filtered:
            host.add_filter(let_pass)
        yield host


def check_accounts(subscriptions: list[Subscription], expected: int) -> None:
    """Refuse a measurement in which something was lost.

    Raises:
        RuntimeError: says how many were delivered, and of how many.
    """
    delivered = sum(subscription.stats().delivered for subscription in subscriptions)
    if delivered != expected:
        raise RuntimeError(f"{delivered} of {expected} events were delivered")


async def one(
    seconds: float,
    *,
    qos: Qos = "batched",
    is_filtered: bool = True,
    publishers: int = 1,
    types: tuple[str, ...] = (),
) -> Figures:
    """*publishers* to one."""
    sink, topics = Sink(), topic_names(1)
    async with bench_host(is_filtered=is_filtered) as host:
        subscription = host.on(
            *topics, handler=sink.handle, qos=qos, capacity=CAPACITY, types=types
        )
        await asyncio.sleep(0)
        batch, meter = batch_of(topics, BURST // publishers), Meter(seconds)
        if publishers == 1:
            sent = await drive(host.publish, sink, batch, meter)
        else:
            sent = await drive_together(host, batch, meter, publishers)
            await sink.wait_count(sent)
        figures = {"rate": sent / meter.spent}
        check_accounts([subscription], sent)
        return figures


async def drive_together(host: Host, batch: list[str], meter: Meter, publishers: int) -> int:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(drive(host.publish, Sink(), batch, meter, copies=0))
            for _ in range(publishers)
        ]
    return sum(task.result() for task in tasks)


async def caused(seconds: float) -> Figures:
    """What a handler publishes: thread, cause, hops and labels are inherited."""
    sink, topics = Sink(), topic_names(1)
    async with bench_host(is_filtered=True) as host:
        done: asyncio.Future[Figures] = asyncio.get_running_loop().create_future()

        async def publish_from_here(envelope: Envelope) -> None:
            meter = Meter(seconds)
            sent = await drive(host.publish, sink, batch_of(topics), meter)
            done.set_result({"rate": sent / meter.spent})

        host.on(*topics, handler=sink.handle, capacity=CAPACITY)
        host.on("bench.start", handler=publish_from_here)
        await host.publish("bench.start")
        return await done


async def pressed(seconds: float) -> Figures:
    """Flat out: the publisher yields only when the full backlog makes it wait."""
    sink, topics = Sink(), topic_names(1)
    async with bench_host(is_filtered=True) as host:
        subscription = host.on(*topics, handler=sink.handle, capacity=CAPACITY)
        await asyncio.sleep(0)
        batch, meter = batch_of(topics, 100 * BURST), Meter(seconds)
        sent = await drive(host.publish, sink, batch, meter)
        figures = {"rate": sent / meter.spent}
        check_accounts([subscription], sent)
        return figures


async def fan_out(seconds: float, copies: int) -> Figures:
    """One to *copies*; counts deliveries."""
    sink, topics = Sink(), topic_names(1)
    async with bench_host(is_filtered=True) as host:
        subscriptions = [
            host.on(*topics, handler=sink.handle, capacity=CAPACITY) for _ in range(copies)
        ]
        await asyncio.sleep(0)
        meter = Meter(seconds)
        sent = await drive(host.publish, sink, batch_of(topics), meter, copies)
        figures = {"rate": sent * copies / meter.spent}
        check_accounts(subscriptions, sent * copies)
        return figures


async def topics(seconds: float, count: int) -> Figures:
    """*count* topics in turn, each with a subscription of its own."""
    sink, names = Sink(), topic_names(count)
    async with bench_host(is_filtered=True) as host:
        subscriptions = [host.on(name, handler=sink.handle) for name in names]
        await asyncio.sleep(0)
        meter = Meter(seconds)
        sent = await drive(host.publish, sink, batch_of(names), meter)
        figures = {"rate": sent / meter.spent}
        check_accounts(subscriptions, sent)
        return figures


async def latency(seconds: float) -> Figures:
    """From the call of `publish` to the handler, at 1,000 events a second."""
    watch, (topic,) = Stopwatch(), topic_names(1)
    async with bench_host(is_filtered=True) as host:
        host.on(topic, handler=watch.handle)
        await asyncio.sleep(0)
        await drive_paced(host.publish, watch, topic, seconds)
    return watch.figures()


# -- matching a topic ------------------------------------------------------------------------


def topic_map(count: int) -> TopicMap[str, list[str]]:
    table: TopicMap[str, list[str]] = TopicMap(lambda topic, found: found)
    for pattern in patterns(count):
        table.add(pattern, pattern)
    return table


async def match_hot(seconds: float, count: int) -> Figures:
    """A topic that was seen before, with *count* subscriptions."""
    table, hot = topic_map(count), hot_topics(count)
    for topic in hot:
        table[topic]
    return {"lookup_ns": per_lookup(table, hot, Meter(seconds))}


async def match_first(seconds: float, count: int) -> Figures:
    """A topic that was never seen, with *count* subscriptions."""
    table, fresh = topic_map(count), new_topics(count)
    meter = Meter(seconds)
    for topic in fresh:
        table[topic]
    return {"lookup_ns": meter.spent / len(fresh) * 1e9}


async def match_churn(seconds: float, count: int) -> Figures:
    """Hot topics, while every thousandth publish a wildcard subscription comes or goes."""
    table, hot, changes = topic_map(count), hot_topics(count), 0
    meter = Meter(seconds)
    while not meter.is_over:
        change = table.remove if changes % 2 else table.add
        change("home.area1.*.came", "came")
        changes += 1
        for _ in range(CHANGE_EVERY // len(hot)):
            for topic in hot:
                table[topic]
    return {"lookup_ns": meter.spent / (changes * CHANGE_EVERY) * 1e9}
