"""Agents in a script: one shared runtime, from the first to the last."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import loom
import pytest
from loom import Agent, Context, Envelope
from loom_kernel import LoomError
from loom_kernel.testing import run_virtual, wait_until

pytestmark = pytest.mark.anyio


@pytest.mark.feature("RT-03")
@pytest.mark.feature("DIR-02")
async def test_agents_of_a_script_hear_each_other() -> None:
    heard: list[Any] = []

    async def listen(ctx: Context, topic: str, event: Envelope) -> None:
        heard.append((topic, event.data, event.sender))

    speaker, listener = Agent("speaker"), Agent("listener", ["news.*"], on_event=listen)
    await listener.start()
    await speaker.start()
    await speaker.ctx.emit("news.local", 1)
    await wait_until(lambda: heard == [("news.local", 1, "speaker")])
    await listener.stop()
    await speaker.ctx.emit("news.local", 2)
    await speaker.stop()
    await speaker.stop()
    assert heard == [("news.local", 1, "speaker")]


async def test_a_second_agent_of_an_id_is_refused_and_the_first_goes_on() -> None:
    handled: list[Envelope] = []

    async def note(ctx: Context, topic: str, event: Envelope) -> None:
        handled.append(event)

    first, second = Agent("ada", ["job"], on_event=note), Agent("ada", ["job"])
    await first.start()
    with pytest.raises(LoomError, match="'ada' exists already"):
        await second.start()
    await first.ctx.emit("job")
    await wait_until(lambda: len(handled) == 1)
    await first.stop()
    await second.start()
    await second.stop()


async def test_the_runtime_ends_with_the_last_agent_and_may_begin_again() -> None:
    for _ in range(3):
        agents = [Agent(f"n{number}") for number in range(5)]
        await asyncio.gather(*(agent.start() for agent in agents))
        await asyncio.gather(*(agent.stop() for agent in agents))
    assert len(asyncio.all_tasks()) <= 2


async def test_a_subclass_overrides_what_it_needs() -> None:
    order: list[str] = []

    class Diary(Agent):
        async def on_start(self, ctx: Context) -> None:
            order.append("start")

        async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
            order.append(topic)

        async def on_stop(self, ctx: Context) -> None:
            order.append("stop")

    diary = Diary("diary", ["dear"])
    await diary.start()
    await diary.ctx.emit("dear")
    await wait_until(lambda: len(order) == 2)
    await diary.stop()
    assert order == ["start", "dear", "stop"]


async def test_before_the_start_there_is_no_context() -> None:
    with pytest.raises(LoomError, match=r"await agent\.start"):
        _ = Agent("ada").ctx


@pytest.mark.feature("X-20")
def test_an_agent_waits_for_an_hour_in_no_time() -> None:
    async def main() -> None:
        agent = Agent("sleeper")
        await agent.start()
        await asyncio.sleep(3600)
        await agent.stop()

    run_virtual(main)


def test_importing_the_sdk_loads_next_to_nothing() -> None:
    code = (
        "import sys, loom\n"
        "print(*sorted(m for m in sys.modules if m.startswith(('loom', 'asyncio'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["loom"]


def test_the_door_is_complete() -> None:
    assert sorted(loom.__all__) == list(loom.__all__)
    for name in loom.__all__:
        assert getattr(loom, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        loom.nothing  # noqa: B018  # asking is the test


async def test_a_script_takes_its_settings_from_the_folder_it_runs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loom.toml").write_text("[bus]\nbatched = 2\n")
    monkeypatch.chdir(tmp_path)
    agent = Agent("ada")
    await agent.start()
    assert agent.ctx.host.subscribe("x").capacity == 2
    await agent.stop()
