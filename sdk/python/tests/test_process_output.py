"""What a child prints: bounded lines at a bounded speed."""

from __future__ import annotations

import asyncio
import logging

import pytest
from loom.processes.output import LONGEST_LINE, Output
from loom_kernel.testing import VirtualClock, run_virtual

pytestmark = [pytest.mark.feature("RT-08"), pytest.mark.reliability("R14")]


def relay(printed: bytes, rate: int = 1 << 20) -> float:
    """Relay *printed*; how many seconds it took."""

    async def main() -> float:
        stream = asyncio.StreamReader()
        stream.feed_data(printed)
        stream.feed_eof()
        clock = VirtualClock()
        began = clock.monotonic()
        await Output(logging.getLogger("loom.test"), clock, rate).relay(stream)
        return clock.monotonic() - began

    return run_virtual(main)


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "loom.test")


def test_lines_are_records_and_the_last_needs_no_end(caplog: pytest.LogCaptureFixture) -> None:
    relay(b"one\n\ntwo\r\nthree")
    assert caplog.messages == ["one", "two", "three"]


def test_a_mark_says_how_bad_it_is(caplog: pytest.LogCaptureFixture) -> None:
    relay(b"<3>bad\n<4>odd\n<6>fine\n<7>detail\n<9>no mark\nplain\n")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", "bad"), ("WARNING", "odd"), ("INFO", "fine"), ("DEBUG", "detail"),
        ("INFO", "<9>no mark"), ("INFO", "plain"),
    ]  # fmt: skip


def test_a_line_without_end_is_cut(caplog: pytest.LogCaptureFixture) -> None:
    relay(b"x" * 1_000_000 + b"\nlast\n")
    assert all(len(message) <= LONGEST_LINE for message in caplog.messages)
    assert "".join(caplog.messages) == "x" * 1_000_000 + "last"


def test_what_a_terminal_would_obey_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    relay(b"\x1b[2Jgone?\t\xff\n")
    assert caplog.messages == ["\\x1b[2Jgone?\t\N{REPLACEMENT CHARACTER}"]


def test_what_is_too_fast_has_to_wait(caplog: pytest.LogCaptureFixture) -> None:
    took = relay((b"x" * 99 + b"\n") * 5_000, rate=100_000)
    assert 3.9 < took < 4.1, "500 kB: the first second's worth at once, the rest at 100 kB/s"
    assert len(caplog.messages) == 5_000


def test_the_latest_lines_are_kept_for_whoever_asks_what_came_before_the_end() -> None:
    async def main() -> list[str]:
        stream = asyncio.StreamReader()
        stream.feed_data(b"".join(b"<3>line %d\n" % number for number in range(20)))
        stream.feed_eof()
        output = Output(logging.getLogger("loom.test"), VirtualClock(), 1 << 20)
        await output.relay(stream)
        return list(output.last)

    assert run_virtual(main) == [f"line {number}" for number in range(15, 20)]
