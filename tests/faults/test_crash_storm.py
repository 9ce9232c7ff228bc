"""Ten plugins crash at once: each is named once, and the others do not notice."""

from __future__ import annotations

import pytest

from tests.faults.installations import Site

RAISES = """
from contextlib import asynccontextmanager
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    raise RuntimeError("no device")
    yield
"""

CRASHES = """
from contextlib import asynccontextmanager
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    async def work():
        raise RuntimeError("device lost")
    host.spawn(work(), "work")
    yield
"""

COUNTS = """
from contextlib import asynccontextmanager
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    seen = []
    async def count(event):
        seen.append(event.data)
        if len(seen) == 500:
            host.publish_nowait("$loom.counted", {"in_order": seen == list(range(500))})
    host.on("number", handler=count)
    for number in range(500):
        await host.publish("number", number)
    yield
"""


@pytest.mark.reliability("R13")
def test_a_crash_storm_is_told_once_each_and_hurts_nobody(site: Site) -> None:
    raising = [f"raises{n}" for n in range(5)]
    crashing = [f"crashes{n}" for n in range(5)]
    for name in raising:
        site.add(name, RAISES)
    for name in crashing:
        site.add(name, CRASHES)
    site.add("healthy", COUNTS, 'after = ["witness"]')
    ended = site.start()
    assert ended.code == 0
    assert set(ended.quarantined) == set(raising)
    assert {"healthy", *crashing} <= set(ended.ready["plugins"])
    failed = [data["source"] for topic, data in ended.events if topic == "$loom.error"]
    assert sorted(failed) == crashing
    assert [data for topic, data in ended.events if topic == "$loom.counted"] == [
        {"in_order": True}
    ]
    for name in crashing:
        assert ended.err.count(f"task {name}/work failed") == 1
    for name in raising:
        assert ended.err.count(f"plugin {name} is not used") == 1
