"""Abuse of the control socket: whatever is sent, the next client is served."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, wait_for

pytestmark = [pytest.mark.feature("RT-02"), pytest.mark.reliability("S8")]

CONNECT_AS = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.settimeout(5)
try:
    client.connect(sys.argv[1])
    client.sendall(b'{"op":"status"}\\n')
    print(client.recv(100))
except OSError as error:
    print(type(error).__name__)
"""


def connect(bare: Instance) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(bare.state / "control.sock"))
    return client


def received(client: socket.socket) -> bytes:
    """Everything until the other end closes."""
    parts = []
    try:
        while part := client.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        parts.append(b"")
    return b"".join(parts)


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (b"\xff\xfe garbage \x00\n", "not a request"),
        (b"\n", "not a request"),
        (b"[1, 2]\n", "not a request"),
        (b'{"op": "reboot"}\n', "reboot"),
        (b'{"op": "status", "more": 1}\n', "more"),
        (b'{"op": "publish"}\n', "topic"),
        (b'{"op": "publish", "topic": 5}\n', "topic"),
        (b'{"op": "publish", "topic": "a b"}\n', "invalid topic"),
        (b'{"op": "publish", "topic": "a", "data": NaN}\n', "not a request"),
        (b'{"op": "request", "topic": "a", "timeout": -1}\n', "timeout"),
        (b'{"op": "request", "topic": "a", "timeout": 1e99}\n', "timeout"),
        (b'{"op": "tail", "patterns": ["a.>.b"]}\n', "invalid topic"),
        (b'{"op": "tail", "patterns": "a"}\n', "patterns"),
        (b"[" * 100_000 + b"\n", "not a request"),
        (b'{"op": "status", "pad": "' + b"x" * 2_000_000 + b'"}\n', "at most 1048576 bytes"),
    ],
)
def test_a_wrong_request_gets_a_typed_answer(bare: Instance, sent: bytes, problem: str) -> None:
    bare.up()
    with connect(bare) as client:
        try:
            client.sendall(sent)
        except BrokenPipeError:
            problem = problem or "closed"
        answer = json.loads(received(client))
    assert answer["error"]["code"] == "INVALID_PARAMS"
    assert problem in answer["error"]["message"]
    assert bare.status()["state"] == "ready"
    assert "Traceback" not in bare.log()


def test_who_says_nothing_or_half_of_it_is_not_waited_for(bare: Instance) -> None:
    bare.up()
    with connect(bare) as silent, connect(bare) as half, connect(bare) as gone:
        half.sendall(b'{"op": "sta')
        gone.sendall(b'{"op": "sta')
        gone.shutdown(socket.SHUT_WR)
        assert received(gone) == b""
        for client in (silent, half):
            assert json.loads(received(client))["error"]["message"] == "no request within 5 s"
    assert bare.status()["plugins"]["control"]["metrics"]["connections"] == 1


def test_a_hundred_connections_are_too_many(bare: Instance) -> None:
    bare.up()
    clients = [connect(bare) for _ in range(100)]
    try:
        answers = [json.loads(received(client)) for client in clients]
    finally:
        for client in clients:
            client.close()
    codes = [answer["error"]["code"] for answer in answers]
    assert codes.count("PROVIDER_UNAVAILABLE") == 36
    assert codes.count("INVALID_PARAMS") == 64, "those were let in, and said nothing"
    wait_for(lambda: bare.status()["plugins"]["control"]["metrics"]["connections"] == 1)


def test_a_client_that_does_not_read_slows_nobody(bare: Instance) -> None:
    bare.up()
    with connect(bare) as lazy:
        lazy.sendall(b'{"op": "tail"}\n')
        wait_for(lambda: bare.tails() == 1)
        bare.folder.joinpath("big.json").write_text(json.dumps("x" * 200_000))
        for _ in range(10):
            assert bare.loom("publish", "big.event", "@big.json").returncode == 0
        assert bare.loom("down", timeout=10).returncode == 0


def test_what_is_in_the_sockets_place_is_not_removed(bare: Instance) -> None:
    bare.state.mkdir(mode=0o700)
    (bare.state / "control.sock").write_text("precious")
    done = bare.loom("up")
    assert done.returncode == 1
    assert "is in the way of the control socket" in done.stderr
    assert (bare.state / "control.sock").read_text() == "precious"


if os.geteuid() == 0:  # only root can become somebody else

    def test_another_user_is_refused_even_where_the_modes_would_let_them_in(
        bare: Instance, home: Path
    ) -> None:
        bare.up()
        path = bare.state / "control.sock"
        command = [sys.executable, "-c", CONNECT_AS, str(path)]
        assert subprocess.run(command, capture_output=True, text=True).stdout == "PermissionError\n"
        for folder in (home, bare.folder, bare.state):
            folder.chmod(0o711)
        path.chmod(0o666)
        answer = subprocess.run(command, capture_output=True, text=True).stdout
        assert answer in ("b''\n", "ConnectionResetError\n", "BrokenPipeError\n")
        assert "user 65534 was refused" in bare.log()
        assert bare.status()["state"] == "ready"
