"""The audit: whole when nobody touched it, and found out when somebody did."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom.contracts import Audit
from loom_kernel.testing import running
from loom_plugin_audit.chain import Head
from loom_plugin_audit.journal import AuditBroken, Journal, entries, read_head, segments
from loom_plugin_audit.verification import verify

pytestmark = [pytest.mark.feature("SEC-07"), pytest.mark.reliability("S13")]
TIME = count(1_700_000_000)


def written(folder: Path, many: int = 20, *, segment: int = 1 << 20) -> Journal:
    journal = Journal(folder, lambda: float(next(TIME)), segment=segment)
    for number in range(many):
        journal.record("tool.call.completed", "planner", f"fs:tool_{number}", code="ACTION_OK")
    return journal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "audit"
    made.mkdir(mode=0o700)
    return made


def lines(folder: Path) -> list[str]:
    (path,) = segments(folder)
    return path.read_text().splitlines(keepends=True)


def test_what_was_recorded_is_whole_and_in_order(folder: Path) -> None:
    written(folder).close()
    found = list(entries(folder))
    assert [entry.seq for entry in found] == list(range(1, 21))
    assert found[3].details == {"code": "ACTION_OK"}
    verdict = verify(folder)
    assert verdict.is_whole
    assert verdict.head == f"20:{found[-1].hash}"
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())


def test_the_chain_goes_on_after_a_restart_and_over_files(folder: Path) -> None:
    for _ in range(3):
        written(folder, 30, segment=4096).close()
    assert len(segments(folder)) > 3
    assert verify(folder).entries == 90
    assert verify(folder).is_whole


def _edit(text: list[str]) -> list[str]:
    return [line.replace("fs:tool_7", "fs:tool_8") for line in text]


def _delete(text: list[str]) -> list[str]:
    return text[:7] + text[8:]


def _delete_first(text: list[str]) -> list[str]:
    return text[1:]


def _insert(text: list[str]) -> list[str]:
    return [*text[:7], text[3], *text[7:]]


def _reorder(text: list[str]) -> list[str]:
    return [*text[:7], text[8], text[7], *text[9:]]


def _cut_the_end(text: list[str]) -> list[str]:
    return text[:-3]


def _cut_a_line(text: list[str]) -> list[str]:
    return [*text[:7], text[7][:40] + "\n", *text[8:]]


def _empty(text: list[str]) -> list[str]:
    return []


FORGERIES = [
    _edit, _delete, _delete_first, _insert, _reorder, _cut_the_end, _cut_a_line, _empty,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_every_forgery_is_found(folder: Path, forge: Callable[[list[str]], list[str]]) -> None:
    written(folder).close()
    text = lines(folder)
    segments(folder)[0].write_text("".join(forge(text)))
    verdict = verify(folder)
    assert not verdict.is_whole
    assert verdict.problems[0]


def test_a_history_written_anew_does_not_fit_a_head_kept_elsewhere(folder: Path) -> None:
    written(folder).close()
    head = read_head(folder)
    assert head is not None
    for path in folder.iterdir():
        path.unlink()
    written(folder, 30).close()
    assert verify(folder).is_whole  # it is a whole history, of something else
    assert not verify(folder, Head(head.seq, head.hash)).is_whole


def test_an_older_copy_put_back_is_found_by_a_head_kept_elsewhere(folder: Path) -> None:
    written(folder, 10).close()
    copy = {path: path.read_bytes() for path in folder.iterdir()}
    written(folder, 10).close()
    head = read_head(folder)
    assert head is not None
    for path, content in copy.items():
        path.write_bytes(content)
    assert "cut off" in verify(folder, Head(head.seq, head.hash)).problems[0]


def test_a_head_written_by_somebody_else_is_found(folder: Path) -> None:
    written(folder).close()
    forged = Head(20, list(entries(folder))[-1].hash, "0" * 64)
    (folder / "head.json").write_bytes(msgspec.json.encode(forged))
    assert "not written by this Loom" in verify(folder).problems[0]
    (folder / "head.json").unlink()
    assert "missing" in verify(folder).problems[0]


@given(place=st.integers(0), flip=st.integers(1, 255))
def test_no_byte_of_an_entry_can_be_changed(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("audit")
    folder.chmod(0o700)
    written(folder, 3).close()
    (path,) = segments(folder)
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= flip
    path.write_bytes(content)
    assert not verify(folder).is_whole


def test_a_line_torn_by_a_crash_is_cut_off_and_the_chain_goes_on(folder: Path) -> None:
    written(folder, 5).close()
    (path,) = segments(folder)
    with path.open("ab") as file:
        file.write(b'{"seq":6,"ev')
    written(folder, 5).close()
    assert verify(folder).entries == 10
    assert verify(folder).is_whole


CHILD = """
import os, signal, sys
from pathlib import Path
from loom_plugin_audit.journal import Journal
journal = Journal(Path(sys.argv[1]), lambda: 1.0, segment=1 << 20)
for number in range(200):
    journal.record("e", "w", str(number))
print("recorded", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_recorded_survives_kill_9(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, folder], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("recorded\n", -9)
    assert verify(folder).entries == 200
    assert verify(folder).is_whole


FULL = """
import resource, signal, sys
from pathlib import Path
from loom_plugin_audit.journal import AuditBroken, Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path(sys.argv[1]), lambda: 1.0, segment=1 << 20)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
written = 0
try:
    while True:
        journal.record("e", "w", "x" * 100)
        written += 1
except AuditBroken as error:
    print(written, error)
try:
    journal.record("e", "w", "later")
except AuditBroken as error:
    print("again", error)
"""


def test_when_the_disk_takes_nothing_more_nothing_more_is_recorded(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, folder], capture_output=True, text=True)
    first, again = done.stdout.splitlines()
    assert "cannot be written" in first
    assert "takes nothing more" in again
    assert verify(folder).entries == int(first.split()[0])
    assert verify(folder).is_whole


def test_a_journal_that_was_tampered_with_at_its_end_is_not_gone_on_with(folder: Path) -> None:
    written(folder).close()
    segments(folder)[0].write_text("".join(lines(folder)[:-1]) + "nonsense\n")
    with pytest.raises(AuditBroken, match="loom audit verify"):
        written(folder)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.mark.anyio
async def test_the_runtime_records_its_own_coming_and_going(state: Path) -> None:
    async with running("audit", state=state) as runtime:
        runtime.host("x").require(Audit).record("test.done", "me", "this", n=1)
    folder = state / "plugins" / "audit"
    assert [e.event for e in entries(folder)] == ["runtime.started", "test.done", "runtime.stopped"]
    assert verify(folder).is_whole


def loom(state: Path, *arguments: str) -> Any:
    command = [str(Path(sys.executable).with_name("loom")), "audit", *arguments]
    return subprocess.run([*command, "--state", str(state)], capture_output=True, text=True)


@pytest.mark.anyio
async def test_the_command_reads_and_proves_it(state: Path) -> None:
    async with running("audit", state=state) as runtime:
        record = runtime.host("x").require(Audit).record
        record("tool.call.started", "plan\x1b[2Jner", "fs:delete", id="1")
    listed = loom(state, "list", "--event", "tool.*").stdout
    assert "plan\\x1b[2Jner  fs:delete  id=1" in listed
    (entry,) = map(json.loads, loom(state, "list", "--what", "fs:*", "--json").stdout.splitlines())
    assert entry["details"] == {"id": "1"}
    head = loom(state, "head").stdout.strip()
    assert loom(state, "verify", "--head", head).returncode == 0
    forged = loom(state, "verify", "--head", f"2:{'0' * 64}", "--json")
    assert forged.returncode == 1
    assert json.loads(forged.stdout)["whole"] is False
    assert loom(state, "verify", "--head", "nonsense").returncode == 2
    assert loom(state / "none", "list").returncode == 1
