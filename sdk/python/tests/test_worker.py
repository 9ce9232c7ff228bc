"""The process in which agents of a file live: how it begins, and that it never stays behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from loom.hosting import Order, Report

pytestmark = [pytest.mark.feature("RT-08"), pytest.mark.reliability("R15")]

WAITS = "print('here', flush=True); import threading; threading.Event().wait()"


class Worker:
    """A real worker, and both ends of its pipes."""

    def __init__(self, file: Path, **changed: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "loom.hosting.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        asked = {"address": "unix:///nowhere", "token": "x", "parent": os.getpid()}
        order = Order(file=str(file), app=str(file.parent.parent), **{**asked, **changed})
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")
        self.process.stdin.flush()

    def said(self) -> bytes:
        """Its next line."""
        assert self.process.stderr is not None
        return bytes(self.process.stderr.readline())

    def reports(self) -> list[Report]:
        """All that it reported until its end."""
        assert self.process.stdout is not None
        return [msgspec.json.decode(line, type=Report) for line in self.process.stdout]

    def complaints(self) -> str:
        """What it wrote to its standard error until its end."""
        assert self.process.stderr is not None
        text = self.process.stderr.read().decode()
        self.process.wait(20)
        return text

    def close(self) -> None:
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()  # the end of its input ends what it started
        self.process.wait()


Start = Callable[..., Worker]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    workers: list[Worker] = []
    (tmp_path / "agents").mkdir()

    def begin(code: str, **changed: Any) -> Worker:
        file = tmp_path / "agents/one.py"
        file.write_text(code)
        workers.append(Worker(file, **changed))
        return workers[-1]

    yield begin
    for worker in workers:
        worker.close()


def test_the_end_of_its_input_ends_it_even_while_it_hangs(start: Start) -> None:
    worker = start(WAITS)
    assert worker.said() == b"here\n"
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    assert worker.process.wait(5) == -signal.SIGKILL


def test_what_it_started_ends_with_it(start: Start) -> None:
    child = "import subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid, flush=True)\n"
    worker = start(child + WAITS)
    pid = int(worker.said())
    assert worker.said() == b"here\n"
    watched = os.pidfd_open(pid)
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    assert worker.process.wait(5) == -signal.SIGKILL
    assert select.select([watched], [], [], 5)[0], "a process descriptor is readable at its end"
    os.close(watched)


def test_one_whose_parent_is_gone_does_not_begin(start: Start) -> None:
    worker = start("print('began')", parent=1)
    assert worker.process.wait(10) == -signal.SIGKILL
    assert worker.said() == b""


@pytest.mark.parametrize("order", [b"", b"{", b"x" * (2 << 20)])
def test_without_an_order_it_ends(order: bytes) -> None:
    command = [sys.executable, "-P", "-m", "loom.hosting.worker"]
    done = subprocess.run(command, input=order, capture_output=True, timeout=20)
    assert done.returncode == 1


def test_a_ctrl_c_is_not_for_it(start: Start) -> None:
    worker = start(WAITS)
    assert worker.said() == b"here\n"
    worker.process.send_signal(signal.SIGINT)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(10) == -signal.SIGTERM


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("import sys; sys.exit(0)", "it called sys.exit(0)"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
        ("raise ValueError('x' * 10_000_000)", "ValueError: xxx"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told(start: Start, code: str, error: str) -> None:
    worker = start(code)
    said = worker.complaints()
    assert worker.process.returncode == 1
    (report,) = worker.reports()
    assert report.error.startswith(error)
    assert len(report.error) <= 500
    assert 'one.py", line 1, in <module>' in said
    assert "loom/hosting" not in said, "our own frames say nothing to the author"


def test_where_nobody_listens_it_says_so(start: Start) -> None:
    worker = start("from loom import Agent\none = Agent('one')\ntwo = Agent('two')")
    assert "cannot go on" in worker.complaints()
    assert worker.process.returncode == 1
    known, failed = worker.reports()
    assert known.agents == ("one", "two")
    assert failed.error.startswith("Disconnected: UNAVAILABLE: nobody listens on unix:///nowhere")


def test_it_reads_nothing_and_holds_no_secret_where_others_look(start: Start) -> None:
    worker = start(
        "import os, sys\nprint(os.read(0, 10), sys.argv[1:], flush=True)\n" + WAITS, token="hush"
    )
    assert worker.said() == b"b'' []\n"
    for place in ("environ", "cmdline"):
        assert b"hush" not in Path(f"/proc/{worker.process.pid}/{place}").read_bytes()


def test_an_order_does_not_show_its_secret() -> None:
    order = Order(address="unix:///x", token="hush", file="f", app="a", parent=1)
    assert "hush" not in repr(order)


def test_what_its_agents_print_is_no_report(start: Start) -> None:
    """Whatever way they print by: the language's, the descriptor, a program that they start."""
    fake = msgspec.json.encode(Report(error="invented")).decode()
    worker = start(
        "import os, subprocess\n"
        f"print({fake!r}, flush=True)\nos.write(1, {fake!r}.encode() + b'\\n')\n"
        f"subprocess.run(['echo', {fake!r}])\nraise SystemExit(0)"
    )
    assert worker.complaints().count("invented") >= 3
    assert [report.error for report in worker.reports()] == ["it called sys.exit(0)"]
