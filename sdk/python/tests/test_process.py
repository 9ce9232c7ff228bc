"""Child processes: started in a sandbox, ended with all that they started, whatever happens."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from loom.contracts import Command, Confinement, Sandbox
from loom.processes import Process, ProgramMissing, find_program, needs
from loom_kernel.testing import running, wait_until

STARTER = Path(__file__).with_name("starter.py")
PYTHON = ("/usr/bin/python3", "-I", "-S", "-u", "-c")
HANDLES = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("asked to end"), sys.exit(7)))
print("ready")
signal.pause()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready")
while True:
    signal.pause()
"""

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.feature("TOOL-04"),
    pytest.mark.reliability("R15"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: namespaces"),
]
Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts programs in the best sandbox here; what they say as errors is in `start.said`."""
    started: list[Process] = []
    async with running("sandbox") as runtime:
        host = runtime.host("starter")
        sandbox = host.require(Sandbox)

        async def start(
            *argv: str, how: str = "confine", said: list[bytes] | None = None
        ) -> Process:
            async def hear(stream: asyncio.StreamReader) -> None:
                heard = await stream.read()
                (said if said is not None else []).append(heard)

            command = Command(argv)
            if how == "confine":
                command = sandbox.confine(command, Confinement())
            elif how == "contain":
                command = sandbox.contain(command)
            process = await Process.start(command, host.spawn, errors=hear)
            started.append(process)
            return process

        yield start
        for process in started:
            await process.aclose()


def running_with(mark: str) -> list[int]:
    """The processes that have *mark* among their arguments and have not ended."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if mark.encode() in words and state != "Z":
                found.append(int(folder.name))
    return found


@pytest.fixture
def mark() -> str:
    return f"1000.{secrets.randbelow(10**9):09}"


@pytest.mark.parametrize("how", ["confine", "contain", "bare"])
async def test_what_it_says_and_how_it_ends_is_known(start: Start, how: str) -> None:
    said: list[bytes] = []
    process = await start("/bin/sh", "-c", "echo out; echo bad >&2; exit 3", how=how, said=said)
    assert await process.stdout.read() == b"out\n"
    assert await process.wait() == 3
    await process.aclose()
    assert said == [b"bad\n"]


@pytest.mark.parametrize("how", ["confine", "contain", "bare"])
async def test_the_end_of_its_input_is_what_it_hears_first(start: Start, how: str) -> None:
    process = await start("/usr/bin/cat", how=how)
    process.stdin.write(b"hello")
    await process.stdin.drain()
    await process.end(5)
    assert process.code == 0
    assert await process.stdout.read() == b"hello"


@pytest.mark.parametrize("how", ["confine", "contain", "bare"])
async def test_a_signal_reaches_it_inside_its_sandbox(start: Start, how: str) -> None:
    process = await start(*PYTHON, HANDLES, how=how)
    assert await process.stdout.readline() == b"ready\n"
    process.terminate()
    assert await process.stdout.read() == b"asked to end\n"
    assert await process.wait() == 7


@pytest.mark.parametrize("how", ["confine", "contain", "bare"])
async def test_whoever_does_not_listen_is_killed(start: Start, how: str) -> None:
    process = await start(*PYTHON, STUBBORN, how=how)
    assert await process.stdout.readline() == b"ready\n"
    loop = asyncio.get_running_loop()
    began = loop.time()
    await process.end(0.2)
    assert process.code != 0
    assert loop.time() - began < 2


@pytest.mark.parametrize("how", ["confine", "contain", "bare"])
async def test_its_group_is_killed_with_it(start: Start, how: str, mark: str) -> None:
    process = await start("/bin/sh", "-c", f"sleep {mark} & sleep {mark} & echo; wait", how=how)
    await process.stdout.readline()
    await wait_until(lambda: len(running_with(mark)) >= 2)
    process.kill()
    await process.wait()
    await wait_until(lambda: not running_with(mark))


@pytest.mark.feature("TOOL-04")
@pytest.mark.parametrize("how", ["confine", "contain", "bare"])
async def test_what_it_started_in_another_session_is_killed_with_it(
    start: Start, how: str, mark: str
) -> None:
    process = await start("/bin/sh", "-c", f"setsid sleep {mark} & echo; wait", how=how)
    await process.stdout.readline()
    await wait_until(lambda: running_with(mark))
    process.kill()
    await process.wait()
    await wait_until(lambda: not running_with(mark))


@pytest.mark.parametrize("how", ["confine", "contain"])
async def test_nothing_leaves_its_sandbox_by_leaving_its_group(
    start: Start, how: str, mark: str
) -> None:
    code = f"setsid -f sleep {mark}; setsid -f setsid -f sleep {mark}; echo started"
    process = await start("/bin/sh", "-c", code, how=how)
    assert await process.stdout.readline() == b"started\n"
    await process.wait()
    await wait_until(lambda: not running_with(mark))


@pytest.mark.parametrize("how", ["confine", "contain"])
async def test_it_ends_with_a_starter_that_is_killed(how: str, mark: str) -> None:
    starter = subprocess.Popen(  # noqa: ASYNC220  # it starts at once
        [sys.executable, str(STARTER), how, mark], stdout=subprocess.PIPE, start_new_session=True
    )
    assert starter.stdout is not None
    with starter.stdout:
        assert await asyncio.to_thread(starter.stdout.readline) == b"started\n"
    await wait_until(lambda: len(running_with(mark)) >= 2)
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    await wait_until(lambda: not running_with(mark))


async def test_a_program_that_is_not_there_is_an_error_of_its_start(start: Start) -> None:
    with pytest.raises(FileNotFoundError):
        await start("/usr/bin/loom-no-such-program", how="bare")


def program(path: Path, first: str = "#!/bin/sh") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{first}\n")
    path.chmod(0o755)
    return path


def test_a_program_is_found_by_name_or_path(tmp_path: Path) -> None:
    tool = program(tmp_path / "bin/tool")
    assert find_program("tool", str(tmp_path / "bin")) == str(tool)
    assert find_program("bin/tool", base=tmp_path) == str(tool)
    assert find_program("sh").startswith("/")
    assert find_program(Path(sys.executable).name) == str(Path(sys.executable).absolute())


@pytest.mark.parametrize("name", ["loom-no-such-program", "bin/missing", "bin/plain"])
def test_what_is_no_program_is_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/plain").touch()
    with pytest.raises(ProgramMissing, match=name):
        find_program(name, base=tmp_path)


def test_a_program_of_the_system_needs_nothing_more() -> None:
    assert needs("/usr/bin/env") == ()


def test_a_program_needs_its_installation_and_its_interpreter(tmp_path: Path) -> None:
    python = program(tmp_path / "python/bin/python3")
    (tmp_path / "python/lib").mkdir()
    (tmp_path / "venv/lib").mkdir(parents=True)
    (tmp_path / "venv/pyvenv.cfg").write_text(f"home = {python.parent}\n")
    (tmp_path / "venv/bin").mkdir()
    (tmp_path / "venv/bin/python").symlink_to(python)
    tool = program(tmp_path / "venv/bin/tool", f"#!{tmp_path}/venv/bin/python")
    (tmp_path / "venv/secret").touch()
    assert set(needs(str(tool))) == {
        f"{tmp_path}/python/bin", f"{tmp_path}/python/lib", f"{tmp_path}/venv/bin",
        f"{tmp_path}/venv/lib", f"{tmp_path}/venv/pyvenv.cfg",
    }  # fmt: skip


def test_a_script_of_node_needs_the_modules_around_it(tmp_path: Path) -> None:
    script = program(tmp_path / "app/node_modules/tool/cli.js", f"#!{sys.executable}")
    (tmp_path / "app/node_modules/.bin").mkdir()
    link = tmp_path / "app/node_modules/.bin/tool"
    link.symlink_to(script)
    assert str(tmp_path / "app/node_modules") in needs(str(link))
    assert str(tmp_path / "app") not in needs(str(link))


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert needs(str(tmp_path / "a")) == ()
