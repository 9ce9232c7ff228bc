"""Agents' processes that are killed, or end as soon as they are started."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from loom.bridge import connect
from loom_kernel import Envelope, Host

from tests.bench.bridge.stage import Actor, Stage

KILLS = 5
BAD = 10
AGENT = """\
from loom import Agent

async def handle(ctx, topic, event):
    pass

agent = Agent("ada", ["ada.hears"], on_event=handle)
"""
CRASH = 'raise RuntimeError("as always")\n'
#: So many kills are no crash storm, and each back-off is the first one.
PATIENT: dict[str, Any] = {"max_restarts": 1000, "longest_delay": 0.2}


async def app(stage: Stage, files: dict[str, str], **settings: Any) -> tuple[Actor, str]:
    """A kernel that runs an app whose agents are processes, and where its frames are."""
    folder = stage.folder / "app"
    (folder / "agents").mkdir(parents=True)
    for name, code in files.items():
        (folder / "agents" / f"{name}.py").write_text(code, encoding="utf-8")
    config = {"plugins": {"agents": {"run": "process", **settings}}}
    kernel, told = await stage.invite("kernel", json.dumps(config), str(folder))
    return kernel, f"unix://{told['address']}/frames.sock"


async def kills(stage: Stage) -> dict[str, float]:
    """From `kill -9` until the next process is connected, less what back-off it was given."""
    _, address = await app(stage, {"ada": AGENT}, **PATIENT)
    again: list[float] = []
    async with connect(address) as host:
        told = host.subscribe("agent.ada.restarting", "agent.ada.connected")
        pid = await running_pid(host)
        for _ in range(KILLS):
            began, delay = perf_counter(), 0.0
            os.kill(pid, signal.SIGKILL)
            async for event in told:
                if event.topic.endswith(".restarting"):
                    delay = event.data["delay"]
                elif delay:
                    break
            again.append(perf_counter() - began - delay)
            pid = await running_pid(host)
    return {"again_ms": median(again) * 1e3, "slowest_ms": max(again) * 1e3}


async def running_pid(host: Host) -> int:
    """The process of the agent, as soon as it runs."""
    while True:
        (record,) = (await host.request("agent.list", {"id": "ada"})).data["agents"]
        if record["state"] == "running":
            return int(record["pid"])
        await asyncio.sleep(0.01)


async def storm(stage: Stage) -> dict[str, float]:
    """Ten files that cannot be imported, from the kernel's start until all are left alone."""
    names = [f"bad{number}" for number in range(BAD)]
    kernel, address = await app(stage, dict.fromkeys(names, CRASH))
    busy, began = kernel.cpu, perf_counter()
    children = children_cpu(kernel.pid)
    starts: dict[str, int] = {}
    complete = asyncio.Event()

    async def note(event: Envelope) -> None:
        starts[event.data["id"]] = event.data["restarts"] + 1
        if len(starts) == BAD:
            complete.set()

    async with connect(address) as host:
        host.on("agent.*.quarantined", handler=note)
        await complete.wait()
    wall = perf_counter() - began
    return {
        "starts": max(starts.values()),
        "kernel_percent": (kernel.cpu - busy) / wall * 100,
        "processes_percent": (children_cpu(kernel.pid) - children) / wall * 100,
        "storm_s": wall,
    }


def children_cpu(pid: int) -> float:
    """CPU seconds of the children of *pid* that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
