"""Agents in child processes that fail: started again, left alone, replaced."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import pytest
from loom_kernel.testing import wait_until

from plugins.agents.tests.processes import is_alive, start, write

pytestmark = [pytest.mark.anyio, pytest.mark.feature("RT-08")]


@pytest.mark.reliability("R13")
async def test_a_killed_process_is_back_within_a_second(app: Path) -> None:
    write(app, "ada")
    async with start(app, first_delay=0.2) as loom:
        pid = (await loom.state("ada", "running")).pid
        began = loom.host.clock.monotonic()
        os.kill(pid, signal.SIGKILL)
        await loom.events.wait_for("agent.ada.restarting")
        record = await loom.state("ada", "running")
        assert loom.host.clock.monotonic() - began < 3.0, "1 s + back-off, and a slow machine"
        assert (record.restarts, record.reason) == (1, "it was killed by SIGKILL")
        assert record.pid not in (pid, 0)
        assert (await loom.ask("ada"))["pid"] == record.pid


@pytest.mark.feature("BRG-05")
async def test_an_event_that_waits_survives_the_process(app: Path) -> None:
    write(app, "ada")
    async with start(app) as loom:
        pid = (await loom.state("ada", "running")).pid
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: loom.record("ada").state != "running")
        assert (await loom.ask("ada"))["pid"] != pid


@pytest.mark.reliability("R13")
async def test_a_file_that_cannot_be_imported_says_why_and_is_left_alone(
    app: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (app / "agents/bad.py").write_text("import not_there\n")
    async with start(app, restart_window=600.0) as loom:
        record = await loom.state("bad", "quarantined")
        assert record.reason == "ModuleNotFoundError: No module named 'not_there'"
        assert (record.restarts, record.pid, record.kind) == (5, 0, "process")
        assert len(loom.events.on("agent.bad.quarantined")) == 1
        assert len(loom.events.on("agent.bad.restarting")) == 5
        own = [r.getMessage() for r in caplog.records if r.name == "loom.agents.bad"]
        assert sum("started again in" in line for line in own) == 5
        assert sum("is quarantined" in line for line in own) == 1
        assert any('agents/bad.py", line 1' in line for line in own), "the traceback"
        assert not loom.runtime.health()["agents"].healthy
        write(app, "bad")
        assert (await loom.agents.restart("bad")).state == "running"


async def test_a_quarantine_ends_by_itself(app: Path) -> None:
    (app / "agents/bad.py").write_text("raise RuntimeError('not yet')")
    async with start(app, max_restarts=0, retry_after=0.5) as loom:
        await loom.state("bad", "quarantined")
        write(app, "bad")
        await loom.state("bad", "running")


async def test_a_process_that_does_not_join_in_time_is_killed(app: Path) -> None:
    write(app, "slow", "import threading; threading.Event().wait()")
    async with start(app, start_timeout=0.5, max_restarts=1) as loom:
        pid = (await loom.state("slow", "starting")).pid
        await wait_until(lambda: loom.record("slow").pid > 0)
        pid = loom.record("slow").pid
        record = await loom.state("slow", "quarantined")
        assert record.reason == "its agents had not joined after 0.5 s"
        assert not is_alive(pid)


async def test_an_exit_without_failure_is_an_end(
    app: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    left = app / "left"  # the event that it does not finish comes again
    code = f"async def leave(ctx, topic, event):\n    if os.path.exists({str(left)!r}): return\n"
    code += f"    open({str(left)!r}, 'x').close()\n    os._exit(0)\nagent._on_event = leave"
    write(app, "ada", code)
    async with start(app) as loom:
        await loom.state("ada", "running")
        await loom.host.publish("ada.hears")
        record = await loom.state("ada", "finished")
        assert (record.restarts, record.pid) == (0, 0)
        await loom.events.wait_for("agent.ada.finished")
        assert (await loom.agents.start("ada")).state == "running"
    assert "it ended by itself, with exit code 0; it is not started again" in caplog.text


@pytest.mark.parametrize(
    ("code", "reason"),
    [("raise SystemExit(3)", "it called sys.exit(3)"), ("os._exit(7)", "exit code 7"),
     ("del agent", "holds no agent"), ("def (", "SyntaxError: invalid syntax")],
)  # fmt: skip
async def test_the_reason_of_a_failure_is_in_the_record(app: Path, code: str, reason: str) -> None:
    write(app, "bad", code)
    async with start(app, max_restarts=0) as loom:
        assert reason in (await loom.state("bad", "quarantined")).reason


@pytest.mark.feature("RT-07")
@pytest.mark.reliability("R14")
async def test_a_process_that_hangs_is_replaced(app: Path) -> None:
    write(app, "ada")
    beats = {"heartbeat": 0.2, "lease": 0.6}
    async with start(app, kill_after=0.3, bridge=beats) as loom:
        pid = (await loom.state("ada", "running")).pid
        os.kill(pid, signal.SIGSTOP)
        await loom.events.wait_for("agent.ada.disconnected", timeout=20)
        await wait_until(lambda: not is_alive(pid), timeout=4)
        await wait_until(lambda: loom.record("ada").restarts == 1)
        record = await loom.state("ada", "running")
        assert record.reason.startswith("it is not heard any more")


async def test_nobody_can_pretend_that_a_process_hangs(app: Path) -> None:
    write(app, "ada")
    async with start(app) as loom:
        pid = (await loom.state("ada", "running")).pid
        lie = {"id": "ada", "origin": "agents/ada", "reason": "a lie"}
        await loom.host.publish("agent.ada.disconnected", lie)
        assert (await loom.ask("ada"))["pid"] == pid


@pytest.mark.reliability("R15")
async def test_what_a_process_started_goes_with_it(app: Path) -> None:
    code = "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n"
    code += "async def tell(ctx, topic, event): await ctx.emit('ada.says', child.pid)\n"
    code += "agent._on_event = tell"
    write(app, "ada", code)
    async with start(app) as loom:
        pid = (await loom.state("ada", "running")).pid
        child = await loom.ask("ada")
        assert is_alive(child)
        os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: not is_alive(child))


@pytest.mark.reliability("R14")
async def test_a_flood_of_output_keeps_nobody_waiting(
    app: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    code = (
        "import sys, threading\ndef flood():\n    while True: sys.stderr.write('x' * 999 + '\\n')"
    )
    code += "\nthreading.Thread(target=flood, daemon=True).start()"
    write(app, "loud", code)
    write(app, "ada")
    async with start(app, output_rate=100_000) as loom:
        await loom.state("ada", "running")
        await loom.state("loud", "running")
        before, began = len(caplog.records), loom.host.clock.monotonic()
        for _ in range(20):
            asked = loom.host.clock.monotonic()
            await loom.ask("ada")
            assert loom.host.clock.monotonic() - asked < 1.0
        await wait_until(lambda: loom.host.clock.monotonic() - began > 2.0)
        seconds = loom.host.clock.monotonic() - began
        lines = sum(r.name == "loom.agents.loud" for r in caplog.records[before:])
        assert lines * 1000 < 100_000 * (seconds + 2)
