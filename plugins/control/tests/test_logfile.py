from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from loom_plugin_control.logfile import KEPT, LogFile, history, last_lines, read_log

pytestmark = pytest.mark.feature("CLI-04")


def test_the_log_stays_small_and_private(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "loom.log", limit=1000)
    for number in range(1000):
        print(f"line {number}", file=log)
    files = [path for path in history(tmp_path / "loom.log") if path.exists()]
    assert len(files) == KEPT + 1
    assert len(list(tmp_path.iterdir())) == KEPT + 1
    assert all(path.stat().st_size < 1100 for path in files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    lines = [line for path in files for line in path.read_text().splitlines()]
    assert lines[-1] == "line 999"
    assert lines == [f"line {number}" for number in range(1000 - len(lines), 1000)]


def test_reading_goes_on_across_new_files(tmp_path: Path) -> None:
    file = tmp_path / "loom.log"
    log = LogFile(file, limit=50)
    log.write("a" * 60 + "\nb\n")
    lines = read_log(file)
    assert last_lines(lines, 1) == ["b\n"]
    log.write("c\n")
    assert last_lines(lines, 5) == ["c\n"]
    log.write("half")
    assert last_lines(lines, 5) == []
    log.write(" and half\n")
    assert last_lines(lines, 5) == ["half and half\n"]


def test_what_cannot_be_written_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "loom.log"
    log = LogFile(file, limit=10)
    log.write("0123456789\n")
    for older in history(file)[:-1]:
        (older / "in the way").mkdir(parents=True)
    assert log.write("lost\n") == 5
    assert log.write("lost too\n") == 9
    for older in history(file)[:-1]:
        shutil.rmtree(older)
    log.write("found\n")
    assert file.read_text() == "2 writes to the log were lost\nfound\n"
