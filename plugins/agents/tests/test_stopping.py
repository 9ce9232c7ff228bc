"""Agents in child processes at their end: stopped, replaced, forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from loom_kernel import LoomError
from loom_kernel.testing import wait_until

from plugins.agents.tests.processes import is_alive, start, write

pytestmark = [pytest.mark.anyio, pytest.mark.feature("RT-08")]


@pytest.mark.feature("RT-09")
@pytest.mark.feature("RT-05")
async def test_it_is_stopped_started_and_forgotten_like_any_other(app: Path) -> None:
    write(app, "ada")
    async with start(app) as loom:
        pid = (await loom.state("ada", "running")).pid
        assert "more" in loom.agents.subscribe("ada", "more").topics
        assert "more" not in loom.agents.unsubscribe("ada", "more").topics
        stopped = await loom.agents.stop("ada")
        assert (stopped.state, stopped.pid, stopped.status) == ("stopped", 0, "disconnected")
        assert not is_alive(pid)
        with pytest.raises(LoomError, match="not connected: its process is stopped"):
            loom.agents.subscribe("ada", "more")
        assert (await loom.agents.start("ada")).state == "running"
        again = await loom.agents.restart("ada")
        assert (again.state, again.restarts, again.reason) == ("running", 1, "it was asked for")
        await loom.agents.delete("ada")
        assert loom.agents.find() == []
        assert not is_alive(again.pid)
        assert loom.events.on("agent.ada.restarting") == [], "nothing failed"


@pytest.mark.feature("RT-09")
async def test_the_event_in_hand_is_finished(app: Path) -> None:
    code = "import asyncio\nasync def work(ctx, topic, event):\n"
    code += (
        "    await ctx.emit('begun')\n    await asyncio.sleep(0.5)\n    await ctx.emit('done')\n"
    )
    write(app, "ada", code + "agent._on_event = work")
    async with start(app) as loom:
        await loom.state("ada", "running")
        await loom.host.publish("ada.hears")
        await loom.events.wait_for("begun")
        assert (await loom.agents.stop("ada")).state == "stopped"
        await loom.events.wait_for("done")


@pytest.mark.feature("RT-09")
@pytest.mark.reliability("R14")
async def test_the_end_comes_in_time_whatever_a_process_does(app: Path) -> None:
    code = "import signal\nasync def begin(ctx): signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    for number in range(3):
        write(app, f"deaf{number}", code + "agent.on_start = begin")
    async with start(app, stop_timeout=1.0) as loom:
        for number in range(3):
            await loom.state(f"deaf{number}", "running")
        pids = [record.pid for record in loom.agents.find()]
        began = loom.host.clock.monotonic()
    assert 1.0 <= loom.host.clock.monotonic() - began < 3.0, "all at once"
    assert not any(map(is_alive, pids))


@pytest.mark.feature("RT-09")
async def test_what_waits_in_a_mailbox_at_the_end_is_handled(app: Path) -> None:
    marks = app / "marks"
    code = "import asyncio\nasync def work(ctx, topic, event):\n    await asyncio.sleep(0.02)\n"
    code += f"    open({str(marks)!r}, 'a').write(f'{{event.data}}\\n')\nagent._on_event = work"
    write(app, "ada", code)
    async with start(app) as loom:
        await loom.state("ada", "running")
        for number in range(20):
            await loom.host.publish("ada.hears", number)
    assert marks.read_text().split() == [str(number) for number in range(20)]


@pytest.mark.feature("RT-08")
async def test_what_waits_in_a_mailbox_goes_to_the_next_process_in_order(app: Path) -> None:
    """A restart on purpose loses no more than a crash does, and handles nothing twice."""
    marks = app / "marks"
    code = "import asyncio\nasync def work(ctx, topic, event):\n    await asyncio.sleep(0.02)\n"
    code += f"    open({str(marks)!r}, 'a').write(f'{{event.data}}\\n')\nagent._on_event = work"
    write(app, "ada", code)
    async with start(app) as loom:
        await loom.state("ada", "running")
        for number in range(40):
            await loom.host.publish("ada.hears", number)
        await wait_until(marks.exists, timeout=20)
        assert (await loom.agents.restart("ada")).restarts == 1
        await wait_until(lambda: len(marks.read_text().split()) >= 40, timeout=20)
    assert marks.read_text().split() == [str(number) for number in range(40)]


@pytest.mark.feature("CLI-04")
async def test_an_edited_file_gets_a_new_process(app: Path) -> None:
    write(app, "ada")
    async with start(app, reload=True) as loom:
        pid = (await loom.state("ada", "running")).pid
        write(app, "ada", word="good morning")
        await wait_until(lambda: loom.record("ada").restarts == 1, timeout=10)
        await loom.state("ada", "running")
        assert (await loom.ask("ada"))["word"] == "good morning"
        assert loom.record("ada").reason == "ada.py has changed"
        (app / "agents/ada.py").unlink()
        await wait_until(lambda: not loom.agents.find(), timeout=10)
        assert not is_alive(pid)
