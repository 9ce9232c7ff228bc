"""Each way in which a program can fail to introduce itself, and what its owner reads then."""

from __future__ import annotations

from pathlib import Path

import pytest
from loom.plugin import Handshake, HandshakeFailed

from plugins.process.tests.house import house, program

pytestmark = [pytest.mark.anyio, pytest.mark.feature("PLG-03")]

WAYS = {
    "garbage.py": "it printed 'Listening on port 1234' where its handshake should be",
    "newer.py": "version 9 of the plugin protocol and Loom 1; this Loom is older: upgrade Loom",
    "other_line.py": "version 0 of the handshake and Loom 1; the plugin is older",
    "elsewhere.py": "it listens on '/tmp/mine.sock'; its socket must lie in",
    "no_socket.py": "cannot be reached: No such file or directory",
    "endless.py": "it printed 'xxxx",
    "exits.py": "it ended with exit code 3 before its handshake; it said: no such model: whisper",
    "silent.py": "it printed no handshake within 2 s; it said: loading the model",
    "deaf.py": "it did not answer Init within 2 s",
}


async def test_its_owner_reads_why_a_program_is_not_a_plugin(tmp_path: Path) -> None:
    programs = {file[:-3]: program(file) for file in WAYS}
    programs["dies"] = program("hostile.py", settings={"dies": True})
    programs["fails"] = program("hostile.py", settings={"fails": True})
    programs["missing"] = {"command": ["no-such-program"]}
    ways = {file[:-3]: text for file, text in WAYS.items()}
    ways["dies"] = "it ended with exit code 7 before it had answered Init"
    ways["fails"] = "it answered Init with FAILED_PRECONDITION: RuntimeError: no microphone"
    ways["missing"] = "no program 'no-such-program' in"
    async with house(tmp_path, programs, start_timeout=2.0, max_restarts=0) as home:
        for name, text in ways.items():
            record = await home.reached(name, "quarantined", timeout=30.0)
            assert text in record["reason"], name
            assert not record["pid"]
            assert not record["tools"]
        assert (await home.ask("missing", "restart"))["state"] == "quarantined"
        health = home.runtime.health()["process"]
        assert not health.healthy
        assert "exits is quarantined" in health.message


NONE = (
    b"LOOM|1|1|unix|/f/x|grpc|more", b"LOOM|1|1|tcp|127.0.0.1:1|grpc", b"LOOM|1", b"LOOM",
    b"LOOM|1|1|unix|/f/../g/x|grpc", b"LOOM|1|1|unix|/f/|grpc", b"LOOM|1|1|unix|/f/..|grpc",
    b"LOOM|1|1|unix|x|grpc", b"LOOM|1|1|unix|/f/x|http", b"LOOM|1|one|unix|/f/x|grpc",
    b"LOOM|1|1|unix|/f/a/x|grpc", b"\xff\xfe", b"",
)  # fmt: skip


@pytest.mark.corpus
@pytest.mark.parametrize("line", NONE)
def test_a_line_that_is_no_handshake_is_refused(line: bytes) -> None:
    with pytest.raises(HandshakeFailed):
        Handshake.parse(line, "/f")


def test_a_handshake_reads_as_it_was_written() -> None:
    shake = Handshake(1, "/f/x.sock")
    assert str(shake) == "LOOM|1|1|unix|/f/x.sock|grpc"
    assert Handshake.parse(f"{shake}\r\n".encode(), "/f") == shake


def test_a_plugin_started_by_hand_says_what_it_is(tmp_path: Path) -> None:
    import subprocess
    import sys

    from plugins.process.tests.house import PROGRAMS

    done = subprocess.run(
        [sys.executable, PROGRAMS / "words.py"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "[process.<name>]" in done.stderr
