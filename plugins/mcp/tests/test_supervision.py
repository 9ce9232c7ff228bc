"""Servers that end, hang or cannot be started; and that nothing of them is ever left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from loom_kernel.testing import wait_until

from plugins.mcp.tests.house import House, marked, new_mark, open_house, scripted

pytestmark = pytest.mark.anyio

LONG = os.environ.get("LOOM_TEST_LONG") == "1"
CYCLES = 1_000 if LONG else 24
KERNELS = 100 if LONG else 3


@pytest.mark.feature("MCP-04")
async def test_a_killed_server_is_started_again_and_its_tools_are_gone_meanwhile(
    tmp_path: Path,
) -> None:
    mark = new_mark()
    server = scripted("plain", env={"MARK": mark})
    slow = {"first_delay": 0.5}
    async with open_house(tmp_path, settings=slow, one=server) as house:
        await house.announced("one:echo")
        died = await house.call("one:die")
        assert died.code == "OUTCOME_UNKNOWN"
        await house.announced("one:echo", there=False)
        down = await house.state("one", "restarting")
        assert down["reason"].startswith("it was killed by SIGKILL") or "137" in down["reason"]
        await house.state("one", "running")
        await house.announced("one:echo")
        assert await house.text("one:echo", text="back") == "back"
        assert (await house.server("one"))["restarts"] == 1


@pytest.mark.feature("MCP-04")
async def test_who_fails_too_often_is_left_alone_until_the_owner_says_so(tmp_path: Path) -> None:
    settings = {"max_restarts": 2}
    async with open_house(tmp_path, settings=settings, one=scripted("plain")) as house:
        for restart in range(3):
            await house.call("one:die")
            await house.events.wait_for("mcp.one.state", 4 + 3 * restart)
            if restart < 2:
                await house.announced("one:echo")
        found = await house.state("one", "quarantined")
        assert "it failed too often and is left alone" in found["reason"]
        health = house.runtime.health()["mcp"]
        assert (health.healthy, health.message) == (False, "given up: one; see `loom mcp list`")
        await house.ask("mcp.server.restart", server="one")
        await house.state("one", "running")


@pytest.mark.feature("MCP-04")
async def test_the_end_of_a_server_is_named(tmp_path: Path) -> None:
    servers = {"dies": scripted("dies"), "none": {"command": "no-such-program"}}
    async with open_house(tmp_path, trusted=False, **servers) as house:
        found = await house.ask("mcp.server.inspect", server="dies")
        assert "it ended with exit code 3" in found["message"]
        missing = await house.state("none", "quarantined")
        assert "no program 'no-such-program'" in missing["reason"]


@pytest.mark.feature("MCP-04")
async def test_a_server_that_starts_for_ever_holds_up_no_end(tmp_path: Path) -> None:
    mark = new_mark()
    flag = tmp_path / "flag"
    flag.mkdir()
    server = scripted("mute-later", str(flag / "f"), env={"MARK": mark}, write=["flag"])
    loop = asyncio.get_running_loop()
    async with open_house(tmp_path, one=server) as house:
        (flag / "f").touch()
        await house.ask("mcp.server.restart", server="one")
        await house.state("one", "starting")
        await wait_until(lambda: marked(mark))
        began = loop.time()
    assert loop.time() - began < 1.5
    await wait_until(lambda: not marked(mark))


async def test_a_disabled_server_is_never_started(tmp_path: Path) -> None:
    servers = {"one": scripted("plain", enabled=False)}
    async with open_house(tmp_path, trusted=False, **servers) as house:
        assert (await house.server("one"))["state"] == "disabled"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def _cycle(house: House, way: int, count: int) -> None:
    """One start and one end, in one of the ways there are."""
    if way == 0:
        await house.ask("mcp.server.restart", server="one")
    elif way == 1:
        await house.call("one:die")
    else:
        house.agent.spawn(house.call("one:hang"), "hangs")
        await house.events.wait_for("tool.call.started", count)
        await house.ask("mcp.server.restart", server="one")


@pytest.mark.feature("X-12")
@pytest.mark.timeout(3600 if LONG else 120)
async def test_many_connections_leave_nothing_behind(tmp_path: Path) -> None:
    mark = new_mark()
    server = scripted("forks", env={"MARK": mark}, timeout=60.0)
    settings = {"max_restarts": 100_000, "first_delay": 0.001, "longest_delay": 0.01}
    async with open_house(tmp_path, settings=settings, one=server) as house:
        before, running = 0, 0
        calls = 0
        for cycle in range(CYCLES):
            calls += cycle % 3 > 0
            ends = len(house.events.on("mcp.one.state"))
            await _cycle(house, cycle % 3, calls)
            await house.events.wait_for("mcp.one.state", ends + 2, timeout=20)
            await house.state("one", "running")
            await house.announced("one:hang")
            if cycle == 2:
                before, running = descriptors(), len(marked(mark))
        await wait_until(lambda: len(marked(mark)) <= running)
        assert descriptors() <= before
        assert len(house.runtime.bus.subscriptions()) < 100
    assert not marked(mark)


CHILD = """
import asyncio, json, sys
from pathlib import Path
from typing import Any
from loom_kernel.testing import running

async def main():
    config, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    async with running("tools", "sandbox", "mcp", config=config, project=folder) as runtime:
        host = runtime.host("cli")
        while True:
            servers = (await host.request("mcp.server.list", {})).data["servers"]
            if all(one["state"] == "running" for one in servers):
                break
            await asyncio.sleep(0.02)
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.feature("X-12")
@pytest.mark.reliability("R15")
@pytest.mark.timeout(3600 if LONG else 120)
async def test_a_killed_runtime_takes_its_servers_along(tmp_path: Path) -> None:
    mark = new_mark()
    servers: dict[str, Any] = {
        "forks": scripted("forks", env={"MARK": mark}),
        "stubborn": scripted("stubborn", env={"MARK": mark}),
    }
    async with open_house(tmp_path, **servers):
        assert marked(mark)
    assert not marked(mark)
    config = json.dumps({"mcp": servers})
    for _ in range(KERNELS):
        kernel = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, config, str(tmp_path),
            stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert kernel.stdout is not None
        async with asyncio.timeout(60):
            assert await kernel.stdout.readline() == b"ready\n"
        assert len(marked(mark)) > 4
        kernel.send_signal(signal.SIGKILL)
        await kernel.wait()
        await wait_until(lambda: not marked(mark), timeout=5)
