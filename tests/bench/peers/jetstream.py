"""NATS JetStream on one server: publishing with an acknowledgement, and reading again.

By default its server flushes every two minutes, so an acknowledged event survives the end of the
process and not a power cut; with `-always` it flushes before each acknowledgement, as Loom does.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import nats  # type: ignore[import-not-found]  # installed beside, not here

SIZE = 300
RECORDS = 20_000
BATCH = 1000
PATIENCE = 10.0
FOLDER = Path(__file__).resolve().parents[3] / ".bench"
"""The same disk as Loom's."""


def start(folder: Path, *, always: bool) -> subprocess.Popen[bytes]:
    sync = "always" if always else "2m"
    config = folder / "server.conf"
    config.write_text(
        f'host: "127.0.0.1"\nport: -1\nports_file_dir: "{folder}"\n'
        f'jetstream {{ store_dir: "{folder}/store", sync_interval: {sync} }}\n'
    )
    server = Path(sys.executable).with_name("nats-server")
    return subprocess.Popen([server, "-c", config], stderr=subprocess.DEVNULL)


async def address(folder: Path) -> str:
    async with asyncio.timeout(PATIENCE):
        while not (found := [f for f in folder.glob("*.ports") if f.stat().st_size]):  # noqa: ASYNC110  # whoever makes it does not know us
            await asyncio.sleep(0.01)
    return str(json.loads(found[0].read_text())["nats"][0])


async def publishing(stream: nats.js.JetStreamContext, count: int, seconds: float) -> float:
    """Acknowledged events a second of *count* publishers."""
    payload, done = b"x" * SIZE, 0
    end = perf_counter() + seconds

    async def publish() -> None:
        nonlocal done
        while perf_counter() < end:
            await stream.publish("order", payload)
            done += 1

    began = perf_counter()
    await asyncio.gather(*(publish() for _ in range(count)))
    return done / (perf_counter() - began)


async def replaying(stream: nats.js.JetStreamContext) -> float:
    """Events a second, read from the first on."""
    payload = b"x" * SIZE
    for _ in range(0, RECORDS, BATCH):
        await asyncio.gather(*(stream.publish("order", payload) for _ in range(BATCH)))
    config = nats.js.api.ConsumerConfig(ack_policy=nats.js.api.AckPolicy.NONE)
    reader = await stream.pull_subscribe("order", stream="orders", config=config)
    began, count = perf_counter(), 0
    while count < RECORDS:
        count += len(await reader.fetch(BATCH, timeout=PATIENCE))
    return count / (perf_counter() - began)


async def measure(scenario: str, seconds: float, folder: Path) -> dict[str, float]:
    client = await nats.connect(await address(folder))
    stream = client.jetstream(timeout=PATIENCE)
    await stream.add_stream(name="orders", subjects=["order"])
    if scenario == "jetstream-replay":
        rate = await replaying(stream)
    else:
        rate = await publishing(stream, int(scenario.split("-")[1]), seconds)
    await client.close()
    return {"wall_second": rate}


def main() -> None:
    scenario, seconds = sys.argv[1], float(sys.argv[2])
    FOLDER.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="jetstream-", dir=FOLDER))
    server = start(folder, always=scenario.endswith("-always"))
    try:
        print(json.dumps(asyncio.run(measure(scenario, seconds, folder))))
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
