"""`loom run`: an app's folder in the foreground, in real and in simulated time."""

from __future__ import annotations

import json
import signal

import pytest

from tests.e2e.instance import Instance, is_alive, wait_for

HOURLY = """
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    async def count():
        while True:
            await host.clock.sleep_until(host.clock.time() + 3600)
            await host.publish("hour.passed")

    async def say(event):
        print("hour at", datetime.fromtimestamp(event.time, tz=UTC).isoformat(), flush=True)

    host.on("hour.passed", handler=say)
    host.spawn(count(), "hours")
    yield
    print("detached", flush=True)
"""


@pytest.mark.feature("CLI-01")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_command_starts_and_one_signal_ends_everything(
    bare: Instance, number: signal.Signals
) -> None:
    bare.add_plugin("hourly", HOURLY)
    app = bare.start("run", "--with", "hourly")
    wait_for(lambda: bare.status()["state"] == "ready")
    status = bare.status()
    assert status["pid"] == app.pid
    assert set(status["plugins"]) == {"control", "hourly"}
    watching = bare.tail()
    app.send_signal(number)
    told, said = app.communicate(timeout=20)
    assert app.returncode == 0, said
    assert told == "detached\n"
    assert "Loom is ready (test): control, hourly" in said
    assert watching.wait(20) == 0
    assert not is_alive(app.pid)
    assert not (bare.state / "control.sock").exists()


@pytest.mark.feature("CLI-01")
def test_down_ends_a_foreground_instance_too(bare: Instance) -> None:
    app = bare.start("run")
    wait_for(lambda: bare.status()["state"] == "ready")
    assert bare.loom("down").returncode == 0
    assert app.wait(20) == 0


@pytest.mark.feature("CLI-01")
def test_a_simulated_day_takes_seconds_and_leaves_no_state(bare: Instance) -> None:
    bare.add_plugin("hourly", HOURLY)
    done = bare.loom("run", "--with", "hourly", "--simulate", "24h5m", timeout=30)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 25
    assert len(set(lines)) == 25
    assert lines[-1] == "detached"
    assert "1 d 5 m have passed" in done.stderr
    assert not bare.state.exists()


@pytest.mark.feature("CLI-01")
def test_where_there_is_no_app_nothing_is_run(bare: Instance) -> None:
    (bare.folder / "loom.toml").unlink()
    done = bare.loom("run")
    assert done.returncode == 2
    assert "loom run DIR" in done.stderr
    assert bare.loom("run", "--simulate", "soon").returncode == 2


AGENT = """
from loom import Agent

async def on_event(ctx, topic, event):
    await ctx.emit("said", {{"word": "{word}"}})

one = Agent("one", topics=["asked"], on_event=on_event)
"""


@pytest.mark.feature("CLI-04")
def test_with_dev_an_edited_agent_restarts(bare: Instance) -> None:
    file = bare.folder / "agents" / "one.py"
    file.parent.mkdir()
    file.write_text(AGENT.format(word="before"))
    app = bare.start("run", "--dev", "--with", "agents")
    wait_for(lambda: bare.status()["state"] == "ready")
    started = bare.start("tail", "agent.one.started", "--count", "1", "--timeout", "20")
    wait_for(lambda: bare.status()["plugins"]["control"]["metrics"]["tails"] == 1)
    file.write_text(AGENT.format(word="after"))
    assert started.wait(20) == 0
    said = bare.start("tail", "said", "--json", "--count", "1", "--timeout", "20")
    wait_for(lambda: bare.status()["plugins"]["control"]["metrics"]["tails"] == 1)
    assert bare.loom("publish", "asked").returncode == 0
    told, _ = said.communicate(timeout=20)
    assert json.loads(told)["data"] == {"word": "after"}
    app.send_signal(signal.SIGINT)
    assert app.wait(20) == 0


ECHO = """
from loom import Agent

async def on_event(ctx, topic, event):
    await ctx.emit("said", {"words": event.data, "to": event.sender})

one = Agent("one", topics=["asked"], on_event=on_event)
"""


def put_echo(bare: Instance) -> None:
    file = bare.folder / "agents" / "one.py"
    file.parent.mkdir()
    file.write_text(ECHO)


@pytest.mark.feature("CLI-01")
@pytest.mark.parametrize("run", ["embedded", "process"])
def test_an_errand_is_published_when_it_is_heard_and_ends_the_run(bare: Instance, run: str) -> None:
    put_echo(bare)
    plugins = ("--with", "agents", "--with", "bridge", "--set", f"plugins.agents.run={run}")
    asked = ("--publish", "asked", '["a"]', "--publish", "asked", "2", "--until", "said")
    done = bare.loom("run", *plugins, *asked)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"words": ["a"], "to": "cli"}


@pytest.mark.feature("CLI-01")
def test_an_app_says_what_takes_a_query_and_what_answers_it(bare: Instance) -> None:
    put_echo(bare)
    run = ("run", "--with", "agents", "--query", "Who?")
    done = bare.loom(*run)
    assert done.returncode == 2
    assert "does not say what takes a query" in done.stderr
    file = bare.folder / "loom.toml"
    file.write_text(f'{file.read_text()}\n[run]\nquery = "asked"\nuntil = "said"\n')
    done = bare.loom(*run)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["words"] == {"query": "Who?"}
    assert "unknown" not in done.stderr


@pytest.mark.feature("CLI-01")
def test_an_errand_works_in_simulated_time_and_says_if_it_fails(bare: Instance) -> None:
    put_echo(bare)
    simulated = ("run", "--with", "agents", "--simulate", "1h")
    done = bare.loom(*simulated, "--publish", "asked", "1", "--until", "sai*")
    assert done.returncode == 2, "a wildcard is a whole token"
    done = bare.loom(*simulated, "--publish", "asked", "1", "--until", "said")
    assert json.loads(done.stdout)["words"] == 1
    done = bare.loom(*simulated, "--publish", "nobody.hears", "1", "--until", "said")
    assert (done.returncode, done.stdout) == (1, "")
    assert "nobody listens to 'nobody.hears' after 30 s" in done.stderr
    done = bare.loom(*simulated, "--until", "said")
    assert (done.returncode, done.stdout) == (1, "")
    for wrong in (("$loom.ready", "1"), ("a.*", "1"), ("asked", "{")):
        assert bare.loom("run", "--publish", *wrong).returncode == 2, wrong
