"""Agents in child processes: where they run, and with what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from loom.contracts import Agents
from loom_kernel import LoomError
from loom_kernel.testing import VirtualClock, run_virtual, running

from plugins.agents.tests.processes import is_alive, start, write

pytestmark = [pytest.mark.anyio, pytest.mark.feature("RT-08")]


@pytest.mark.feature("DIR-02")
async def test_an_agent_lives_in_a_process_of_its_own_and_nobody_can_tell(app: Path) -> None:
    write(app, "ada")
    async with start(app) as loom:
        record = await loom.state("ada", "running")
        told = await loom.ask("ada")
        assert told == {"word": "hello", "pid": record.pid}
        assert record.pid != os.getpid()
        assert (record.kind, record.origin, record.restarts) == ("process", "agents/ada", 0)
        assert "ada.hears" in record.topics
        assert loom.events.on("ada.says")[0].sender == "ada"
    assert not is_alive(record.pid)


async def test_each_file_runs_where_its_table_says(app: Path) -> None:
    for name in ("ada", "bob"):
        write(app, name)
    async with start(app, run="embedded", tables={"bob": {"run": "process"}}) as loom:
        assert (await loom.ask("ada"))["pid"] == os.getpid()
        bob = await loom.state("bob", "running")
        assert (await loom.ask("bob"))["pid"] == bob.pid
        assert (loom.record("ada").kind, loom.record("ada").status) == ("embedded", "active")


async def test_a_place_that_there_is_not_is_told(
    app: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(app, "ada")
    async with start(app, tables={"ada": {"run": "elsewhere"}}) as loom:
        assert loom.agents.find() == []
    assert "[agents.ada] run is 'elsewhere', must be embedded or process" in caplog.text


async def test_two_agents_of_a_file_share_a_process(app: Path) -> None:
    write(app, "ada", "other = Agent('eve', ['eve.hears'], on_event=handle)")
    async with start(app) as loom:
        await loom.state("eve", "running")
        assert loom.record("ada").pid == loom.record("eve").pid


async def test_its_table_is_its_config_and_may_switch_it_off(app: Path) -> None:
    code = "other = Agent('eve')\nasync def handle(ctx, topic, event):\n"
    code += "    await ctx.emit('ada.says', dict(ctx.config))\nagent._on_event = handle"
    write(app, "ada", code)
    tables = {"ada": {"colour": "red", "topics": ["more"]}, "eve": {"enabled": False}}
    async with start(app, tables=tables) as loom:
        assert "more" in (await loom.state("ada", "running")).topics
        assert await loom.ask("ada") == {"colour": "red", "topics": ["more"]}
        assert [record.id for record in loom.agents.find()] == ["ada"]


async def test_a_table_of_nobody_is_told_once_the_processes_have_spoken(
    app: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(app, "ada", "other = Agent('eve')")
    async with start(app, tables={"eve": {}, "adda": {}}) as loom:
        await loom.state("eve", "running")
    assert "[agents.adda]: there is no agent of that id" in caplog.text
    assert "[agents.eve]" not in caplog.text


async def test_a_process_gets_no_secrets_by_its_environment(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "1234")
    monkeypatch.setenv("WANTED", "yes")
    code = "async def tell(ctx, topic, event):\n"
    code += "    await ctx.emit('ada.says', dict(os.environ))\nagent._on_event = tell"
    write(app, "ada", code)
    async with start(app, environment=["WANTED"]) as loom:
        await loom.state("ada", "running")
        seen = await loom.ask("ada")
    assert seen["WANTED"] == "yes"
    assert "PATH" in seen
    assert "SECRET_KEY" not in seen
    assert not [name for name in seen if name.startswith("LOOM_")]


async def test_without_a_bridge_it_is_told_and_the_runtime_goes_on(app: Path) -> None:
    write(app, "ada")
    async with start(app, "tools") as loom:
        record = await loom.state("ada", "quarantined")
        assert "needs the plugin 'bridge'" in record.reason
        assert not loom.runtime.health()["agents"].healthy
        with pytest.raises(LoomError, match="needs the plugin 'bridge'"):
            await loom.agents.restart("ada")


@pytest.mark.feature("X-20")
def test_in_simulated_time_all_agents_are_embedded(app: Path) -> None:
    write(app, "ada")

    async def main() -> None:
        config = {"plugins": {"agents": {"run": "process"}}}
        async with running("agents", config=config, project=app, clock=VirtualClock()) as runtime:
            (record,) = runtime.host("outside").require(Agents).find()
            assert (record.kind, record.state) == ("embedded", "running")

    run_virtual(main)
