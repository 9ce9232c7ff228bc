"""Agents in processes, and a real Loom: crash storms, and a kernel that is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from loom_kernel import RealClock

from tests.e2e.instance import Instance, is_alive, kill, wait_for

pytestmark = pytest.mark.feature("RT-08")

ROUNDS = 10
WATCHED = 20.0
"""Seconds over which a crash storm may cost its tenth of a core."""

HEALTHY = """
import subprocess
from loom import Agent

child = subprocess.Popen(["sleep", "1000"])

async def handle(ctx, topic, event):
    await ctx.reply(event, child.pid)

agent = Agent("{name}", ["asked"], on_event=handle)
"""

HANGS = """
import threading
from loom import Agent

agent = Agent("{name}")
threading.Event().wait()
"""

CRASHES = """
import os
with open({marks!r}, "a") as marks:
    marks.write("{name}\\n")
os._exit(1)
"""


@pytest.fixture
def app(tmp_path: Path) -> Any:
    config = '[plugins.agents]\nrun = "process"\n'
    with Instance(tmp_path / "app", "agents", "bridge", "tools", config=config) as instance:
        (instance.folder / "agents").mkdir()
        yield instance


def write(app: Instance, name: str, code: str) -> None:
    marks = str(app.folder / "marks")
    (app.folder / f"agents/{name}.py").write_text(code.format(name=name, marks=marks))


def agents(app: Instance) -> dict[str, dict[str, Any]]:
    """What `loom agents` says, by id."""
    return {record["id"]: record for record in json.loads(app.loom("agents", "--json").stdout)}


@pytest.mark.reliability("R15")
def test_no_process_outlives_a_killed_kernel(app: Instance) -> None:
    write(app, "fine", HEALTHY)
    write(app, "stuck", HANGS)
    for _ in range(ROUNDS):
        kernel = app.up()["pid"]
        wait_for(lambda: agents(app)["fine"]["state"] == "running")
        found = agents(app)
        pids = [record["pid"] for record in found.values()]
        asked = app.loom("publish", "asked", "--request")
        pids.append(int(asked.stdout))
        assert len(pids) == 3
        assert all(map(is_alive, pids))
        kill(kernel)
        wait_for(lambda pids=pids: not any(map(is_alive, pids)), timeout=1.0)  # type: ignore[misc]  # bound now


@pytest.mark.reliability("R13")
def test_a_crash_storm_is_cheap_and_soon_over(app: Instance) -> None:
    for number in range(10):
        write(app, f"bad{number}", CRASHES)
    write(app, "fine", HEALTHY)
    kernel = psutil.Process(app.up()["pid"])
    before = kernel.cpu_times()
    wait_for(lambda: _are_quarantined(app), timeout=60.0)
    wait_for(lambda: RealClock().time() - kernel.create_time() > WATCHED, timeout=60.0)
    after = kernel.cpu_times()
    spent = after.user + after.system - before.user - before.system
    assert spent <= 0.1 * WATCHED, "of the kernel, for the storm and for asking how it is"
    starts = (app.folder / "marks").read_text().split()
    assert {name: starts.count(name) for name in set(starts)} == {f"bad{n}": 6 for n in range(10)}
    found = agents(app)
    assert found["fine"]["state"] == "running"
    assert found["fine"]["restarts"] == 0
    assert {found[f"bad{n}"]["reason"] for n in range(10)} == {"it ended with exit code 1"}
    assert not [child for child in kernel.children() if child.status() == psutil.STATUS_ZOMBIE]
    lines = [line for line in app.log().splitlines() if "loom.agents.bad" in line]
    assert len(lines) == 60, "one a restart, and one when it is over"


def _are_quarantined(app: Instance) -> bool:
    states = [record["state"] for record in agents(app).values()]
    return states.count("quarantined") == 10
