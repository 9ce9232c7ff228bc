"""S5: no program gets out of its sandbox, whatever it tries; limits bite."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from loom.contracts import Command, Confinement, Sandbox
from loom_plugin_sandbox.census import UNLIMITED

from plugins.sandbox.tests.attempts import ATTEMPTS, BEGIN, END
from plugins.sandbox.tests.conftest import Run

PYTHON = "/usr/bin/python3"
GRANTED: dict[str, Any] = {"temporary": 64 << 20, "file_size": 16 << 20, "processes": 32}

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.feature("SEC-03", "NAT-02"),
    pytest.mark.reliability("S5"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers of its calls"),
]


def disk() -> str:
    found = [path for path in Path("/dev").iterdir() if path.is_block_device()]
    return str(found[0]) if found else "/dev/vda"


class Echo(asyncio.DatagramProtocol):
    """Answers each datagram."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(64) or b"nothing")
    writer.close()


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        ["/usr/bin/sleep", "60"], env={"LOOM_TEST_CANARY": "canary"}, start_new_session=True
    )
    yield process
    process.kill()
    process.wait()


@pytest.fixture
async def world(
    home: Path, tmp_path: Path, victim: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[dict[str, Any]]:
    """Everything outside that a program could want, real and within reach of a free one."""
    monkeypatch.setenv("LOOM_TEST_CANARY", "canary")
    for name in ("read", "write"):
        (home / name).mkdir()
    for name in ("secret", "victim", "read/note"):
        (home / name).write_text("canary")
    abstract = f"loom-test-{os.getpid()}-{home.name}"
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind(f"\0{abstract}")
        servers = [
            await asyncio.start_server(answer, "127.0.0.1"),
            await asyncio.start_unix_server(answer, home / "socket"),
            await asyncio.start_unix_server(answer, sock=named),
        ]
        echo, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
        yield {
            "folder": str(home), "elsewhere": str(tmp_path), "disk": disk(),
            "secret": str(home / "secret"),
            "victim file": str(home / "victim"), "read": str(home / "read"),
            "write": str(home / "write"), "victim": victim.pid, "starter": os.getpid(),
            "port": servers[0].sockets[0].getsockname()[1], "socket": str(home / "socket"),
            "datagrams": echo.get_extra_info("sockname")[1], "abstract": abstract,
        }  # fmt: skip
        echo.close()
        for server in servers:
            server.close()


def outside(world: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for path in Path(world["folder"]).rglob("*"):
        if not path.is_relative_to(world["write"]) and path.is_file():
            status = path.stat()
            found[str(path)] = (path.read_bytes(), status.st_mode, status.st_mtime_ns)
    return found


def program(attempt: str, world: dict[str, Any]) -> tuple[str, ...]:
    return (PYTHON, "-I", "-S", "-c", f"{BEGIN}{ATTEMPTS[attempt][0]}{END}", json.dumps(world))


def test_there_are_enough_ways() -> None:
    assert len(ATTEMPTS) >= 40


@pytest.mark.corpus
@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_no_way_leads_out(
    run: Run,
    sandbox: Any,
    world: dict[str, Any],
    victim: subprocess.Popen[bytes],
    attempt: str,
) -> None:
    if attempt == "start many processes" and UNLIMITED in sandbox.cautions:
        pytest.skip("needs a control group that counts the processes of root")
    before = outside(world)
    loop = asyncio.get_running_loop()
    began = loop.time()
    ended = await run(
        *program(attempt, world), read=(world["read"],), write=(world["write"],), **GRANTED
    )
    took = loop.time() - began
    assert "ESCAPED" not in ended.output, ended
    assert ended.code != 0, ended
    assert "Error" in ended.errors, ended  # it ran, and was refused by the system
    assert took < 4, "the limits bite within 2 s; twice that on a busy machine"
    assert outside(world) == before
    assert victim.poll() is None


FREE = [name for name, (_, is_tried) in ATTEMPTS.items() if is_tried]


@pytest.mark.parametrize("sandbox", ["bubblewrap"], indirect=True)
async def test_without_a_sandbox_the_same_ways_lead_out(
    run: Run, world: dict[str, Any], spawn: Callable[..., Any]
) -> None:
    """The control: these programs do what they say."""
    held = []
    needs_root = {"read the passwords", "write to passwd", "write among the programs"}
    for attempt in FREE:
        if os.geteuid() != 0 and attempt in needs_root:
            continue
        environment = {"LOOM_TEST_CANARY": "canary"}
        ended = await run(*program(attempt, world), bare=True, environment=environment)
        if "ESCAPED" not in ended.output:
            held.append((attempt, ended.errors[-200:]))
        for name in ("secret", "victim", "read/note"):
            Path(world["folder"], name).write_text("canary")
    assert not held


async def test_what_is_granted_works(run: Run, sandbox: Sandbox, world: dict[str, Any]) -> None:
    code = (
        "import json, os, socket, sys\n"
        "w = json.loads(sys.argv[1])\n"
        "text = open(w['read'] + '/note').read()\n"
        "os.mkdir(w['write'] + '/made')\n"
        "open(w['write'] + '/made/note', 'w').write(text)\n"
        "os.rename(w['write'] + '/made/note', w['write'] + '/note')\n"
        "a, b = socket.socketpair(); a.send(b'x')\n"
        "assert os.fork() or os._exit(0) is None\n"
        "assert os.wait()[1] == 0\n"
        "print(os.getcwd(), dict(os.environ))"
    )
    ended = await run(
        PYTHON, "-I", "-S", "-c", code, json.dumps(world),
        cwd=world["write"], read=(world["read"],), write=(world["write"],),
        environment={"LANG": "C.UTF-8", "LD_DEBUG_OUTPUT": "x", "GIVEN": "word"},
    )  # fmt: skip
    assert ended.code == 0, ended
    assert Path(world["write"], "note").read_text() == "canary"
    assert ended.output.startswith(world["write"])
    assert "'GIVEN': 'word'" in ended.output
    assert "LC_CTYPE" not in ended.output


async def test_arguments_and_descriptors_are_the_programs_own(run: Run) -> None:
    code = (
        "import os, sys\n"
        "def is_open(n):\n"
        "    try: return bool(os.fstat(n))\n"
        "    except OSError: return False\n"
        "print(sys.argv[1:], [n for n in range(99) if is_open(n)])"
    )
    ended = await run(PYTHON, "-I", "-S", "-c", code, "{filter}", "--", "--filter=x")
    assert ended.output.startswith("['{filter}', '--', '--filter=x'] [0, 1, 2]"), ended


async def test_variables_arrive_as_they_were_given(run: Run) -> None:
    given = {
        "GIVEN": "a 'b' $c \"d\"\n`e`", "EMPTY": "", "a.b": "dotted", "IFS": "x", "SHLVL": "7",
        "OPTIND": "no number", "_": "here", "ENV": "/etc/passwd", "BASH_FUNC_exec%%": "() { :; }",
    }  # fmt: skip
    for environment in ({}, given):
        ended = await run("/usr/bin/env", "-0", environment=environment)
        found = dict(line.split("=", 1) for line in ended.output.split("\0") if line)
        found.pop("PWD", None)  # where it runs
        assert found == environment, ended


@pytest.mark.parametrize("sandbox", ["bubblewrap"], indirect=True)
async def test_descriptors_that_are_handed_over_are_not_taken_for_the_filter(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "note").write_text("canary")
    handing = ("/bin/sh", "-c", 'exec 3<"$0" 4<"$0"; exec "$@"', str(tmp_path / "note"))
    inside = ("/bin/sh", "-c", "cat <&3; cat <&4; grep Seccomp: /proc/self/status")
    argv = (*handing, *sandbox.confine(Command(inside), Confinement()).argv)
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    assert said.decode() == "canarycanarySeccomp:\t2\n"


async def test_the_network_is_there_where_it_is_granted(run: Run, world: dict[str, Any]) -> None:
    ended = await run(*program("reach a server", world), network=True)
    assert "ESCAPED" in ended.output, ended


async def test_an_endless_loop_ends(run: Run) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    ended = await run(PYTHON, "-I", "-S", "-c", "while True: pass", seconds=1)
    assert ended.code != 0
    assert loop.time() - began < 4, "one second of a processor, on a busy machine"


async def test_its_processes_end_with_a_program_that_ends(run: Run, world: dict[str, Any]) -> None:
    code = "import os, signal\nif not os.fork():\n    signal.pause()\nprint('first ended')"
    ended = await run(PYTHON, "-I", "-S", "-c", code)
    assert ended.output == "first ended\n"
