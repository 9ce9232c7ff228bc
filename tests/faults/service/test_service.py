"""What may happen to a Loom in the background, its clients and its rivals."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, is_alive, kill, wait_for

LONG = bool(os.environ.get("LOOM_TEST_LONG"))

WORKERS = """
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    async def work(event):
        name = f"{event.data['number']}"
        started = host.paths.project / "started"
        (started / name).touch()
        await asyncio.sleep(event.data["seconds"])
        (started.parent / "done" / name).touch()

    async def begin(event):
        # A rising number of workers with durations from 50 ms to 60 s, one handler each.
        for number in range(event.data):
            host.on(f"work.{number}", handler=work)
            seconds = 0.05 * 1200 ** (number / event.data)
            await host.publish(f"work.{number}", {"number": number, "seconds": seconds})

    async def block(event):
        while True:
            pass

    host.on("begin", handler=begin)
    host.on("block", handler=block)
    yield
"""


@pytest.mark.feature("RT-01")
def test_killed_clients_do_not_touch_the_runtime(bare: Instance) -> None:
    bare.add_plugin("workers", WORKERS)
    pid = bare.up("--with", "workers")["pid"]
    survivor = bare.tail("note.>", "--count", "3")
    victims = [bare.tail() for _ in range(3)]
    asker = bare.start("publish", "work.99", '{"number": 1}', "--request", "--timeout", "60")
    for number in range(3):
        bare.loom("publish", "note.added", str(number))
        kill(victims[number].pid)
    kill(asker.pid)
    wait_for(lambda: bare.tails() == 0)
    told, _ = survivor.communicate(timeout=20)
    assert [json.loads(line)["data"] for line in told.splitlines()] == [0, 1, 2]
    wait_for(lambda: bare.status()["plugins"]["control"]["metrics"]["connections"] == 1)
    status = bare.status()
    assert (status["pid"], status["state"]) == (pid, "ready")
    assert "Traceback" not in bare.log()


@pytest.mark.feature("RT-02")
@pytest.mark.reliability("R25")
def test_what_a_crash_left_behind_is_replaced(bare: Instance) -> None:
    pid = bare.up()["pid"]
    kill(pid)
    assert (bare.state / "control.sock").exists()
    assert bare.status() == {"state": "stopped"}
    assert bare.up()["pid"] != pid
    assert bare.status()["state"] == "ready"


@pytest.mark.feature("RT-02")
@pytest.mark.reliability("R25")
def test_a_process_number_is_not_proof_enough_to_kill(bare: Instance) -> None:
    pid = bare.up()["pid"]
    kill(pid)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (bare.state / "loom.lock").write_text(str(bystander.pid))
        assert bare.loom("down").returncode == 4
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.feature("RT-02")
def test_one_that_hangs_is_killed_at_last(bare: Instance) -> None:
    bare.add_plugin("workers", WORKERS)
    pid = bare.up("--with", "workers")["pid"]
    bare.loom("publish", "block")
    asked = bare.loom("down", "--timeout", "1", "--json")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["ended"] in ("killed", "terminated")
    assert not is_alive(pid)
    assert bare.up()["pid"] != pid


@pytest.mark.reliability("R25")
@pytest.mark.feature("RT-02")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("round", range(50 if LONG else 3))
def test_of_twenty_at_once_one_wins(bare: Instance, round: int) -> None:
    rivals = [bare.start("up", "--json") for _ in range(20)]
    answers = [rival.communicate(timeout=60) for rival in rivals]
    codes = [rival.returncode for rival in rivals]
    assert sorted(codes) == [0] + 19 * [3], answers
    (ready,) = (json.loads(told) for told, _ in answers if told)
    socket = (bare.state / "control.sock").stat()
    assert bare.status()["pid"] == ready["pid"]
    late = bare.loom("up", timeout=5)
    assert late.returncode == 3
    assert f"process {ready['pid']}" in late.stderr
    after = (bare.state / "control.sock").stat()
    assert (socket.st_ino, socket.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)
    assert bare.loom("down").returncode == 0


def _in_flight(bare: Instance) -> subprocess.Popen[str]:
    """A foreground instance whose 200 handlers are all at work."""
    for name in ("started", "done"):
        (bare.folder / name).mkdir(exist_ok=True)
        for old in (bare.folder / name).iterdir():
            old.unlink()
    app = bare.start("run", "--with", "workers", "--set", "kernel.drain_timeout=2")
    wait_for(lambda: bare.status()["state"] == "ready")
    bare.loom("publish", "begin", "200")
    wait_for(lambda: len(list((bare.folder / "started").iterdir())) == 200)
    return app


@pytest.mark.feature("RT-09")
@pytest.mark.reliability("R17")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("round", range(45 if LONG else 1))
def test_what_is_in_flight_finishes_within_the_limit(
    bare: Instance, number: signal.Signals, round: int
) -> None:
    bare.add_plugin("workers", WORKERS)
    app = _in_flight(bare)
    app.send_signal(number)
    _, said = app.communicate(timeout=7)
    assert app.returncode == 0, said
    done = {int(path.name) for path in (bare.folder / "done").iterdir()}
    in_time = {n for n in range(200) if 0.05 * 1200 ** (n / 200) < 1.8}
    assert in_time <= done
    assert len(done) < 200
    assert "handlers still run after 2 s" in said
    assert "Traceback" not in said


@pytest.mark.feature("RT-09")
@pytest.mark.reliability("R17")
@pytest.mark.parametrize("topic", ["begin", "block"])
def test_a_second_signal_ends_it_at_once(bare: Instance, topic: str) -> None:
    bare.add_plugin("workers", WORKERS)
    app = _in_flight(bare)
    if topic == "block":
        bare.loom("publish", "block")
    watching = bare.tail("$loom.stopping", "--count", "1") if topic == "begin" else None
    app.send_signal(signal.SIGTERM)
    if watching is not None:
        assert watching.wait(10) == 0, "the first signal has been heard"
    else:
        wait_for(lambda: _pending_signals(app.pid) == 0)
    app.send_signal(signal.SIGTERM)
    assert app.wait(2.0) == 130


def _pending_signals(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd", "ShdPnd")))


@pytest.mark.feature("RT-01", "CLI-04")
def test_a_full_disk_costs_log_lines_and_nothing_else(bare: Instance) -> None:
    bare.add_plugin(
        "noisy",
        """
from contextlib import asynccontextmanager
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    async def shout(event):
        for number in range(1000):
            host.log.info("noise %d", number)
        print("a print must not raise either")
        await host.publish("noise.made")
    host.on("shout", handler=shout)
    yield
""",
    )
    pid = bare.up("--with", "noisy")["pid"]
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(
        pid, resource.RLIMIT_FSIZE, ((bare.state / "loom.log").stat().st_size + 1000, hard)
    )
    watching = bare.tail("noise.made", "--count", "2")
    bare.loom("publish", "shout")
    wait_for(lambda: "noise 5" in bare.log())
    assert bare.status()["pid"] == pid
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    bare.loom("publish", "shout")
    assert watching.wait(20) == 0
    wait_for(lambda: "writes to the log were lost" in bare.log())
    assert bare.log().endswith("a print must not raise either\n")
    assert bare.loom("down").returncode == 0


@pytest.mark.feature("RT-02")
def test_one_that_does_not_listen_is_told_from_one_that_does_not_run(bare: Instance) -> None:
    app = bare.start("kernel", "--project", ".", "--without", "control")
    wait_for(lambda: bare.status()["state"] == "unreachable")
    done = bare.loom("status")
    assert done.returncode == 1
    assert f"Loom (process {app.pid}) runs on {bare.state}, but does not listen" in done.stderr
    assert bare.loom("down").returncode == 0, "the lock says which process it is"
    assert app.wait(10) == 0
