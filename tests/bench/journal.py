"""What durability costs: `python -m tests.bench.journal CASE SECONDS` prints JSON figures.

Records of 300 bytes. A rate is events a second of wall time: what is waited for is the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from loom_kernel import Envelope, Host, Runtime
from loom_kernel.testing import running, wait_until
from loom_plugin_journal import Append, Batch, Record, SqliteStore, body_of

SIZE = 300
MANY = 64
RECORDS = 20_000
BACKLOG = 100_000
DATA = {"text": "x" * (SIZE - 12)}
Publish = Callable[[int], Awaitable[Any]]
FOLDER = Path(__file__).resolve().parents[2] / ".bench"
"""On a real disk: the system's folder for temporary files may be in memory."""


async def rate(publish: Publish, publishers: int, seconds: float) -> dict[str, float]:
    """How many events a second *publishers* get written, and how long each waits."""
    times: list[float] = []
    end = perf_counter() + seconds

    async def go_on(number: int) -> None:
        while (began := perf_counter()) < end:
            await publish(number)
            times.append(perf_counter() - began)

    began = perf_counter()
    await asyncio.gather(*(go_on(number) for number in range(publishers)))
    spent = perf_counter() - began
    times.sort()
    return {
        "wall_second": len(times) / spent,
        "p50_us": times[len(times) // 2] * 1e6,
        "p99_us": times[len(times) * 99 // 100] * 1e6,
    }


def write_groups(folder: Path, group: int, seconds: float) -> dict[str, float]:
    """The limit: a plain file, *group* records and one fdatasync at a time."""
    record, times = os.urandom(SIZE), []
    with (folder / "plain").open("wb", buffering=0) as file:
        end = perf_counter() + seconds
        while (began := perf_counter()) < end:
            file.write(b"".join([record] * group))
            os.fdatasync(file.fileno())
            times.append(perf_counter() - began)
    times.sort()
    spent = sum(times)
    return {
        "wall_second": group * len(times) / spent,
        "p50_us": times[len(times) // 2] * 1e6,
        "p99_us": times[len(times) * 99 // 100] * 1e6,
    }


@asynccontextmanager
async def journaled(folder: Path, **settings: Any) -> AsyncIterator[Runtime]:
    config = {"plugins": {"journal": settings}}
    async with running("journal", state=folder / "state", config=config) as runtime:
        yield runtime


async def publishing(folder: Path, publishers: int, seconds: float) -> dict[str, float]:
    """Durable publishing, with a consumer that handles each event."""
    async with journaled(folder) as runtime:

        async def handle(envelope: Envelope) -> None:
            return None

        runtime.host("clerk").on("order", handler=handle, durable="clerk")
        hosts = [runtime.host(f"shop{number}") for number in range(publishers)]
        return await rate(lambda n: hosts[n].publish("order", DATA), publishers, seconds)


def bodies() -> list[bytes]:
    data = {"text": "x" * (SIZE - 200)}
    return [
        body_of(Envelope("order", "loom://local/shop", float(n), "order", data, "shop", n))
        for n in range(RECORDS)
    ]


def fill(store: SqliteStore, count: int) -> None:
    known = bodies()
    for start in range(0, count, 1000):
        batch = Batch()
        batch.appends += [
            Append("order", known[n % RECORDS], float(n)) for n in range(start, start + 1000)
        ]
        store.commit(batch)


def replay(folder: Path) -> dict[str, float]:
    """Read the log from the start, each record proved."""
    store = SqliteStore(folder, ballast=0)
    fill(store, RECORDS)
    began = perf_counter()
    at = count = 0
    while records := store.read(at + 1, 2048) if at < store.last else []:
        at = records[-1].sequence
        count += len(records)
    spent = perf_counter() - began
    store.close()
    assert count == RECORDS
    return {"wall_second": count / spent}


def replay_plain(folder: Path) -> dict[str, float]:
    """The limit: the same records in a plain file, each behind its length."""
    with (folder / "plain").open("wb") as file:
        for body in bodies():
            file.write(len(body).to_bytes(4, "little") + body)
    began = perf_counter()
    records: list[Record] = []
    with (folder / "plain").open("rb") as file:
        while head := file.read(4):
            body = file.read(int.from_bytes(head, "little"))
            records.append(Record(len(records) + 1, "order", body))
    assert len(records) == RECORDS
    return {"wall_second": len(records) / (perf_counter() - began)}


async def restart(folder: Path) -> dict[str, float]:
    """Seconds until a runtime with 100,000 events that nobody has handled is ready and delivers."""
    async with journaled(folder) as runtime:
        runtime.host("clerk").subscribe("order", durable="clerk").close()
    store = SqliteStore(folder / "state" / "plugins" / "journal")
    fill(store, BACKLOG)
    store.close()
    began = perf_counter()
    async with journaled(folder) as runtime:
        got: list[Envelope] = []

        async def handle(envelope: Envelope) -> None:
            got.append(envelope)

        runtime.host("clerk").on("order", handler=handle, durable="clerk")
        await wait_until(lambda: got, timeout=60)
        return {"ready_ms": (perf_counter() - began) * 1e3}


async def handling(folder: Path, *, record: bool, seconds: float) -> dict[str, float]:
    """Events a second that an agent handles, recorded or not."""
    from loom import Agent
    from loom.contracts import Agents

    count = 0

    async def handle(ctx: Any, topic: str, event: Envelope) -> None:
        nonlocal count
        count += 1
        ctx.state["n"] = count
        await ctx.emit("parcel.sent", {"number": count})

    config = {"plugins": {"journal": {"record": record}}}
    async with running("journal", "agents", state=folder / "state", config=config) as runtime:
        agents = runtime.host("office").require(Agents)
        await agents.create(Agent("clerk", ["order"], on_event=handle).definition())
        shop: Host = runtime.host("shop")
        end, began = perf_counter() + seconds, perf_counter()
        while perf_counter() < end:
            await asyncio.gather(*(shop.publish("order", DATA) for _ in range(32)))
        await wait_until(lambda: not runtime.health()["journal"].metrics["left"], timeout=60)
        spent = perf_counter() - began
        await agents.stop("clerk")
    return {"wall_second": count / spent}


async def measure(case: str, folder: Path, seconds: float) -> dict[str, float]:
    kind, _, rest = case.partition("-")
    if kind == "publish":
        return await publishing(folder, int(rest), seconds)
    if kind == "file":
        return write_groups(folder, int(rest), seconds)
    if kind == "agent":
        return await handling(folder, record=rest == "recorded", seconds=seconds)
    if case == "restart":
        return await restart(folder)
    return replay(folder) if case == "replay" else replay_plain(folder)


def main() -> None:
    case, seconds = sys.argv[1], float(sys.argv[2])
    FOLDER.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="journal-", dir=FOLDER))
    try:
        print(json.dumps(asyncio.run(measure(case, folder, seconds))))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
