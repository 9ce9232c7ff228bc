"""Who may read and write what a Loom in the background keeps."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.e2e.instance import Instance

pytestmark = [pytest.mark.feature("RT-02"), pytest.mark.reliability("S18")]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_do_not_depend_on_the_umask(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        bare = Instance(home / "app", "timers")
        bare.state = home / "deep" / "below" / "state"
        bare.environment["LOOM_STATE_DIR"] = str(bare.state)
        with bare:
            bare.up()
            found = {path: path.lstat() for path in [bare.state, *bare.state.rglob("*")]}
    finally:
        os.umask(before)
    names = {path.name for path in found}
    assert {"loom.lock", "loom.log", "control.sock"} <= names
    found |= {path: path.lstat() for path in (home / "deep", home / "deep/below")}
    wrong = {
        str(path): oct(stat.S_IMODE(entry.st_mode))
        for path, entry in found.items()
        if stat.S_IMODE(entry.st_mode) != (0o700 if stat.S_ISDIR(entry.st_mode) else 0o600)
    }
    assert not wrong
    assert {entry.st_uid for entry in found.values()} == {os.getuid()}


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(bare: Instance, mode: int) -> None:
    bare.state.mkdir()
    bare.state.chmod(mode)
    for command in ("up", "run"):
        done = bare.loom(command)
        assert done.returncode == 2
        assert f"others may write to {bare.state}; " in done.stderr
    assert list(bare.state.iterdir()) == []


def test_a_folder_of_somebody_else_is_refused(bare: Instance, tmp_path: Path) -> None:
    foreign = tmp_path / "theirs"
    foreign.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(foreign, 65534, 65534)
    else:
        foreign = Path("/usr")  # root's
    done = bare.loom("up", "--state", str(foreign))
    assert done.returncode == 2
    assert "use a folder of your own" in done.stderr


@pytest.mark.parametrize("name", ["loom.log", "loom.lock"])
def test_a_link_in_the_place_of_a_file_is_not_followed(bare: Instance, name: str) -> None:
    target = bare.folder / "precious"
    target.write_text("precious")
    bare.state.mkdir(mode=0o700)
    (bare.state / name).symlink_to(target)
    done = bare.loom("up")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert target.read_text() == "precious"


def test_a_log_that_was_readable_is_closed_to_others(bare: Instance) -> None:
    bare.state.mkdir(mode=0o700)
    (bare.state / "loom.log").touch(mode=0o644)
    bare.up()
    assert stat.S_IMODE((bare.state / "loom.log").stat().st_mode) == 0o600
