"""`loom process`, as its owner uses it, and what is left when the kernel is killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from loom_plugin_process.launch import sockets_of

from plugins.process.tests.house import PROGRAMS, is_alive, sources
from tests.e2e.instance import Instance, wait_for

CONFIG = """
[process.words]
command = ["python3", {program}]
read = {read}
subscribe = ["heard.>"]
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Instance]:
    config = CONFIG.format(
        program=json.dumps(str(PROGRAMS / "words.py")), read=json.dumps(sources())
    )
    plugins = ("process", "sandbox", "tools")
    with Instance(tmp_path / "app", *plugins, config=config) as instance:
        yield instance


def is_dead(pid: int) -> bool:
    return not is_alive(pid)


def listed(app: Instance) -> dict[str, object]:
    (record,) = json.loads(app.loom("process", "list", "--json").stdout)
    found: dict[str, object] = record
    return found


@pytest.mark.feature("PLG-03", "X-11")
def test_an_owner_looks_trusts_and_restarts(app: Instance) -> None:
    app.up()
    wait_for(lambda: listed(app)["state"] == "untrusted")
    text = app.loom("process", "list").stdout
    assert "untrusted" in text
    declined = app.loom("process", "trust", "words", input="n\n")
    assert declined.returncode == 1
    for shown in ("words runs:", "words.py", "sha256", "subscribe: heard.>", "network: none"):
        assert shown in declined.stdout
    assert listed(app)["state"] == "untrusted"
    trusted = app.loom("process", "trust", "words", "--yes")
    assert trusted.returncode == 0, trusted.stderr
    assert trusted.stdout.endswith("words is running\n")
    again = app.loom("process", "trust", "words")
    assert "nothing of it has changed" in again.stdout
    first = listed(app)
    assert first["tools"] == ["words:count", "words:echo", "words:spell"]
    restarted = json.loads(app.loom("process", "restart", "words", "--json").stdout)
    assert restarted["state"] == "running"
    assert restarted["pid"] != first["pid"]
    unknown = app.loom("process", "restart", "other")
    assert unknown.returncode == 1
    assert "there is no [process.other]; there is: words" in unknown.stderr


@pytest.mark.feature("PLG-03")
@pytest.mark.reliability("R15")
def test_a_killed_kernel_leaves_no_plugin_and_starts_again(app: Instance) -> None:
    app.up()
    wait_for(lambda: listed(app)["state"] == "untrusted")
    app.loom("process", "trust", "words", "--yes")
    for _ in range(2):
        wait_for(lambda: listed(app)["state"] == "running")
        pid = int(str(listed(app)["pid"]))
        kernel = int(app.status()["pid"])
        os.kill(kernel, signal.SIGKILL)
        wait_for(partial(is_dead, pid), 5.0)
        app.up()
        wait_for(lambda: listed(app)["state"] == "running")
        folders = list(sockets_of(app.state / "plugins" / "process").iterdir())
        assert len(folders) == 1, "what the killed one left is gone"


@pytest.mark.feature("PLG-03")
def test_without_a_running_loom_it_says_so(app: Instance) -> None:
    assert app.loom("process", "list").returncode == 4
