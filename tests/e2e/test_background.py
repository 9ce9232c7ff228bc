"""Loom in the background: up, status, logs, down."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.instance import Instance, is_alive, wait_for

TALKER = """
from contextlib import asynccontextmanager
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    print("a printed line")
    host.log.info("hello, world")
    host.log.warning("mind the gap")
    host.log.error("\\x1b[2J it broke")
    async def echo(event):
        await host.reply(event, {"echo": event.data})
    host.on("echo.asked", handler=echo)
    host.on("note.>", handler=host.log.debug, qos="realtime")
    yield
"""


@pytest.mark.feature("RT-02", "RT-09")
def test_up_status_down(bare: Instance) -> None:
    ready = bare.up()
    assert ready["plugins"] == ["control"]
    assert is_alive(ready["pid"])
    assert os.getsid(ready["pid"]) == ready["pid"], "it is in a session of its own"
    status = bare.status()
    assert (status["state"], status["pid"]) == ("ready", ready["pid"])
    shown = bare.loom("status").stdout
    assert "Loom is ready (test)" in shown
    assert "control" in shown
    second = bare.loom("up")
    assert second.returncode == 3
    assert f"process {ready['pid']}" in second.stderr
    done = bare.loom("down")
    assert done.returncode == 0
    assert "Loom has stopped" in done.stdout
    assert not is_alive(ready["pid"])
    assert not (bare.state / "control.sock").exists()


@pytest.mark.feature("RT-02")
@pytest.mark.parametrize("command", ["down", "status", "topics", "tail", "publish x.y"])
def test_without_an_instance_every_client_says_so(bare: Instance, command: str) -> None:
    done = bare.loom(*command.split())
    assert done.returncode == 4, done
    assert done.stderr.startswith("loom: no Loom runs on")
    assert done.stderr.count("\n") == 1


@pytest.mark.feature("RT-02")
def test_the_instance_that_is_meant(bare: Instance, home: Path) -> None:
    ready = bare.up()
    assert ready["state"] == str(bare.state)
    elsewhere = Instance(home / "elsewhere")
    assert elsewhere.status() == {"state": "stopped"}
    named = elsewhere.loom("status", str(bare.folder), "--json")
    assert json.loads(named.stdout)["pid"] == ready["pid"]
    named = elsewhere.loom("topics", "--project", str(bare.folder), "--json")
    assert "$loom.ready" in named.stdout
    no_app = bare.loom("up", str(home / "state"))
    assert no_app.returncode == 2
    assert "holds no loom.toml" in no_app.stderr


@pytest.mark.feature("RT-02")
def test_a_wrong_configuration_is_one_line_and_nothing_runs(bare: Instance) -> None:
    with (bare.folder / "loom.toml").open("a") as file:
        file.write("[buss]\n")
    done = bare.loom("up")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "loom.toml:5: unknown key 'buss'; did you mean 'bus'?" in done.stderr
    assert not (bare.state / "control.sock").exists()
    assert bare.status() == {"state": "stopped"}


@pytest.mark.feature("RT-02")
def test_one_that_does_not_get_ready_is_ended(bare: Instance) -> None:
    code = "from pathlib import Path\nimport os, time\n"
    code += f"Path({str(bare.folder / 'pid')!r}).write_text(str(os.getpid()))\n"
    code += "import threading\nthreading.Event().wait()\n"
    bare.add_plugin("sleeper", code)
    done = bare.loom(
        "up", "--timeout", "1", "--with", "sleeper", "--set", "kernel.import_timeout=60"
    )
    assert done.returncode == 1
    assert "not ready after 1 s" in done.stderr
    pid = int((bare.folder / "pid").read_text())
    wait_for(lambda: not is_alive(pid))


@pytest.mark.feature("RT-02")
def test_without_its_control_plugin_it_does_not_stay(bare: Instance) -> None:
    done = bare.loom("up", "--without", "control")
    assert done.returncode == 1
    assert "without the plugin 'control'" in done.stderr
    assert bare.status() == {"state": "stopped"}


@pytest.mark.feature("RT-02")
def test_a_quarantined_plugin_is_named_with_its_reason(bare: Instance) -> None:
    bare.add_plugin("broken", "raise RuntimeError('no good')\n")
    done = bare.loom("up", "--with", "broken")
    assert done.returncode == 0
    assert "broken       import: RuntimeError: no good" in done.stdout
    assert "broken       import: RuntimeError: no good" in bare.loom("status").stdout


@pytest.mark.feature("CLI-04")
def test_logs_are_filtered_and_rendered(bare: Instance) -> None:
    bare.add_plugin("talker", TALKER)
    bare.up("--with", "talker")
    shown = bare.loom("logs")
    assert "INFO    loom.talker: hello, world" in shown.stdout
    assert "a printed line" in shown.stdout
    assert "\x1b" not in shown.stdout, "a message must not command the terminal"
    assert bare.loom("logs", "--level", "warning", "--grep", "GAP").stdout.count("\n") == 1
    last = bare.loom("logs", "--grep", "loom.talker", "--lines", "2", "--json").stdout.splitlines()
    assert [json.loads(line)["level"] for line in last] == ["warning", "error"]
    follower = bare.start("logs", "--follow", "--lines", "1", "--grep", "o")
    assert follower.stdout is not None
    assert "Loom is ready" in follower.stdout.readline(), "now it follows"
    bare.loom("down")
    assert "asked to stop" in follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    assert follower.wait(10) == 130
    assert "hello, world" in bare.loom("logs").stdout, "logs outlive the instance"


@pytest.mark.feature("CLI-04", "BUS-11")
def test_topics_add_up(bare: Instance) -> None:
    bare.add_plugin("talker", TALKER)
    bare.up("--with", "talker")
    for number in range(5):
        assert bare.loom("publish", "note.added", str(number)).stdout == "1 subscription took it\n"
    (topic,) = json.loads(bare.loom("topics", "note.*", "--json").stdout)
    lost = sum(topic["dropped"].values()) + topic["expired"] + topic["backlog"]
    assert topic["published"] == topic["offered"] == topic["delivered"] + lost == 5
    assert topic["subscriptions"] == 1
    assert "note.added" in bare.loom("topics").stdout


@pytest.mark.feature("CLI-04")
def test_publish_asks_and_prints_the_answer(bare: Instance) -> None:
    bare.add_plugin("talker", TALKER)
    bare.up("--with", "talker")
    (bare.folder / "data.json").write_text('{"n": 1}')
    done = bare.loom("publish", "echo.asked", "@data.json", "--request")
    assert json.loads(done.stdout) == {"echo": {"n": 1}}
    done = bare.loom("publish", "echo.asked", "-", "--request", "--json", input='"text"')
    event = json.loads(done.stdout)
    assert (event["data"], event["sender"]) == ({"echo": "text"}, "talker")


@pytest.mark.feature("CLI-04")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["a.*", "1"], 2, "loom: invalid topic 'a.*': a pattern can be subscribed to"),
        (["a.b", "{x"], 2, "the data is not JSON"),
        (["a.b", "NaN"], 2, "the data is not JSON"),
        (["a.b", "@missing"], 2, "cannot read the data"),
        (["a.b", "--request"], 1, "loom: nobody is subscribed to 'a.b', so no one can answer"),
        (["a.b", '"' + "x" * 100_000 + '"'], 0, ""),
    ],
)
def test_what_cannot_be_published_is_explained(
    bare: Instance, arguments: list[str], code: int, said: str
) -> None:
    bare.up()
    done = bare.loom("publish", *arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.feature("CLI-04")
@pytest.mark.parametrize(
    "command",
    [
        "up",
        "down",
        "status",
        "logs",
        "run",
        "topics",
        "publish",
        "tail",
        "agents",
        "tools",
        "timers",
    ],
)
def test_help_shows_examples(bare: Instance, command: str) -> None:
    done = bare.loom(command, "--help")
    assert done.returncode == 0
    assert f"\n  loom {command}" in done.stdout


@pytest.mark.feature("CLI-04")
@pytest.mark.feature("DIR-03")
def test_agents_tools_and_timers_are_listed(bare: Instance) -> None:
    agents = bare.folder / "agents"
    agents.mkdir()
    (agents / "one.py").write_text(
        "from loom import Agent, capability\n"
        "@capability('text.count', version='2.1')\n"
        "def count(text: str) -> int:\n"
        "    'Count words.'\n"
        "    return len(text.split())\n"
        "one = Agent('one', topics=['a.*'], capabilities=[count])\n"
    )
    bare.up("--with", "agents", "--with", "tools", "--with", "timers")
    (one,) = json.loads(bare.loom("agents", "--json").stdout)
    assert (one["id"], one["state"]) == ("one", "running")
    (tool,) = json.loads(bare.loom("tools", "--json").stdout)
    assert (tool["name"], tool["version"], tool["provider"]) == ("text.count", "2.1", "agent")
    assert json.loads(bare.loom("timers", "--json").stdout) == []
    lines = bare.loom("agents").stdout.splitlines()
    assert lines[0].split()[:5] == ["id", "state", "status", "kind", "pid"]
    assert "one  running" in lines[1]


@pytest.mark.feature("CLI-04")
@pytest.mark.feature("RT-05")
@pytest.mark.feature("RT-08")
def test_an_agent_is_changed_from_outside(bare: Instance) -> None:
    agents = bare.folder / "agents"
    agents.mkdir()
    (agents / "one.py").write_text("from loom import Agent\none = Agent('one', topics=['a.*'])\n")
    with (bare.folder / "loom.toml").open("a") as config:
        config.write('[plugins.agents]\nrun = "process"\n')
    bare.up("--with", "agents", "--with", "bridge")
    watching = bare.start("agents", "--watch", "--json")

    def change(*arguments: str) -> dict[str, Any]:
        done = bare.loom("agents", *arguments, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    first = change("start", "one")
    assert (first["state"], first["kind"]) == ("running", "process")
    assert "b.>" in change("subscribe", "one", "b.>")["topics"]
    assert "b.>" not in change("unsubscribe", "one", "b.>")["topics"]
    second = change("restart", "one")
    assert second["restarts"] == 1
    assert second["pid"] not in (0, first["pid"])
    assert bare.loom("agents", "stop", "one").stdout.startswith("one is stopped; ")
    refused = bare.loom("agents", "subscribe", "one", "b.>")
    assert (refused.returncode, "its process is stopped" in refused.stderr) == (1, True)
    assert bare.loom("agents", "stop", "nobody").returncode == 1
    bare.loom("down")
    seen = [json.loads(line) for line in watching.communicate(timeout=20)[0].splitlines()]
    assert {one["restarts"] for (one,) in seen} >= {0}


def test_nobody_speaks_for_the_runtime(bare: Instance) -> None:
    bare.up()
    refused = bare.loom("publish", "$loom.ready", "{}")
    assert refused.returncode != 0
    assert "the runtime's own" in refused.stderr
