"""The agents of an app folder, and hot reload."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom.contracts import AgentRecord, Agents
from loom_kernel import Runtime
from loom_kernel.testing import EventRecorder, VirtualClock, run_virtual, running

ECHO = """
from loom import Agent

async def handle(ctx, topic, event):
    await ctx.emit("{name}.says", "{word}")

agent = Agent("{name}", ["{name}.hears"], on_event=handle)
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "agents").mkdir()
    return tmp_path


def write(app: Path, name: str, word: str = "hello") -> None:
    (app / f"agents/{name}.py").write_text(ECHO.format(name=name, word=word))


class App:
    """A running app folder."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.host = runtime.host("outside")
        self.events = EventRecorder(runtime.host("witness"), ">")

    def agents(self) -> list[str]:
        return [record.id for record in self.host.require(Agents).find()]

    def record(self, id: str) -> AgentRecord:
        (found,) = self.host.require(Agents).find(id=id)
        return found

    async def ask(self, name: str) -> Any:
        """What the agent *name* says to an event."""
        before = len(self.events.on(f"{name}.says"))
        assert await self.host.publish(f"{name}.hears") == 1
        return (await self.events.wait_for(f"{name}.says", before + 1))[-1].data


Start = Callable[..., AbstractAsyncContextManager[App]]


@asynccontextmanager
async def start(app: Path, *, reload: bool = False, **tables: Any) -> AsyncIterator[App]:
    config = {"plugins": {"agents": {"reload": reload}}, "agents": tables}
    clock = VirtualClock() if reload else None
    async with running("agents", config=config, project=app, clock=clock) as runtime:
        yield App(runtime)


@pytest.mark.anyio
@pytest.mark.feature("DIR-02")
async def test_every_agent_of_the_folder_is_started(app: Path) -> None:
    for name in ("ada", "bob"):
        write(app, name)
    write(app, "_helper")
    async with start(app) as loom:
        assert loom.agents() == ["ada", "bob"]
        assert await loom.ask("ada") == "hello"


@pytest.mark.anyio
@pytest.mark.feature("CFG-01")
async def test_an_agents_table_changes_how_it_runs(app: Path) -> None:
    write(app, "ada")
    write(app, "bob")
    ada = {"topics": ["extra"], "mailbox": 5, "concurrency": "reject"}
    async with start(app, ada=ada, bob={"enabled": False}) as loom:
        assert loom.agents() == ["ada"]
        record = loom.record("ada")
        assert record.topics == ("agent.ada.replies", "ada.hears", "extra")
        assert (record.mailbox, record.concurrency) == (5, "reject")


@pytest.mark.corpus
@pytest.mark.anyio
@pytest.mark.parametrize(
    "broken",
    ["def (", "import not_there", "import sys; sys.exit(1)", "x = 1", "raise RuntimeError('x')",
     "from loom import Agent\nAgent()", "from loom import Agent\na = Agent('a.b')"],
)  # fmt: skip
async def test_a_broken_file_is_told_and_the_others_start(
    app: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(app, "ada")
    (app / "agents/bad.py").write_text(broken)
    async with start(app) as loom:
        assert loom.agents() == ["ada"]
    assert "the agents of bad.py failed" in caplog.text


@pytest.mark.anyio
async def test_one_id_in_two_files_is_told(app: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(app, "ada")
    (app / "agents/again.py").write_text(ECHO.format(name="ada", word="me too"))
    async with start(app) as loom:
        assert loom.agents() == ["ada"]
    assert "'ada' exists already" in caplog.text


@pytest.mark.feature("CLI-04")
def test_editing_a_file_restarts_its_agent_and_no_other(app: Path) -> None:
    async def main() -> None:
        write(app, "ada")
        write(app, "bob")
        async with start(app, reload=True) as loom:
            assert await loom.ask("ada") == "hello"
            created = loom.record("bob").created
            write(app, "ada", "good morning")
            await loom.host.clock.sleep(2)
            assert await loom.ask("ada") == "good morning"
            assert loom.record("bob").created == created
            assert len(loom.events.on("agent.bob.started")) == 0, "it was started before"
            told = [event.topic for event in loom.events.on("agent.ada.*")]
            assert told == [
                f"agent.ada.{what}" for what in ("stopped", "deleted", "created", "started")
            ]

    run_virtual(main)


@pytest.mark.feature("CLI-04")
def test_a_broken_edit_keeps_the_old_agent(app: Path) -> None:
    async def main() -> None:
        write(app, "ada")
        async with start(app, reload=True) as loom:
            (app / "agents/ada.py").write_text("def (")
            await loom.host.clock.sleep(2)
            assert await loom.ask("ada") == "hello"
            (error,) = loom.events.on("$loom.error")
            assert (error.data["error"], error.data["file"]) == ("SyntaxError", "ada.py")
            write(app, "ada", "mended")
            await loom.host.clock.sleep(2)
            assert await loom.ask("ada") == "mended"

    run_virtual(main)


@pytest.mark.feature("CLI-04")
def test_files_come_and_go(app: Path) -> None:
    async def main() -> None:
        write(app, "ada")
        async with start(app, reload=True) as loom:
            write(app, "bob")
            (app / "agents/ada.py").unlink()
            await loom.host.clock.sleep(2)
            assert loom.agents() == ["bob"]

    run_virtual(main)


@pytest.mark.feature("CLI-04")
def test_an_agent_that_fails_to_stop_does_not_end_the_reloading(app: Path) -> None:
    stubborn = "\nasync def on_stop(ctx):\n    raise ValueError('never')\nagent.on_stop = on_stop\n"

    async def main() -> None:
        write(app, "ada")
        with (app / "agents/ada.py").open("a") as file:
            file.write(stubborn)
        async with start(app, reload=True) as loom:
            (app / "agents/ada.py").unlink()
            await loom.host.clock.sleep(2)
            write(app, "bob")
            await loom.host.clock.sleep(2)
            assert loom.agents() == ["bob"]
            assert loom.events.on("$loom.error")[0].data["message"] == "never"

    run_virtual(main)


@pytest.mark.anyio
@pytest.mark.feature("CLI-04")
async def test_without_reload_an_edit_changes_nothing(app: Path) -> None:
    write(app, "ada")
    async with start(app) as loom:
        write(app, "ada", "changed")
        assert await loom.ask("ada") == "hello"
