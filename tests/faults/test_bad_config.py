"""R24: whatever is wrong with the configuration: exit 2, one clear line, nothing created."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.feature("CFG-01"), pytest.mark.reliability("R24")]

LOOM = Path(sys.executable).with_name("loom")


class Wrong(NamedTuple):
    """A `loom.toml`, the line to be named, and what must be said."""

    text: str | bytes
    line: int
    says: str


WRONG = [
    # not TOML
    Wrong("name = ", 1, "not TOML"),
    Wrong("\n\n[bus", 3, "not TOML"),
    Wrong("[bus]\nrealtime = 1\nrealtime = 2\n", 3, "not TOML"),
    Wrong("[bus]\n[bus]\n", 2, "not TOML"),
    Wrong("name = 'x'\nname.first = 'y'\n", 2, "not TOML"),
    Wrong("a = 01\n", 1, "not TOML"),
    Wrong('name = "open\n', 1, "not TOML"),
    Wrong("= 3\n", 1, "not TOML"),
    Wrong("{'name': 'json'}\n", 1, "not TOML"),
    Wrong(b"name = '\xff'\n", 1, "not UTF-8"),
    Wrong(b"\x00", 1, "not TOML"),
    Wrong("\nx = " + "[" * 3000, 1, "nested too deep"),
    Wrong(b"\xef\xbb\xbfname = 'x'\n", 1, "not TOML"),
    # unknown tables and keys
    Wrong("nmae = 'desk'\n", 1, "unknown key 'nmae'; did you mean 'name'?"),
    Wrong("\n[buss]\nrealtime = 5\n", 2, "unknown key 'buss'; did you mean 'bus'?"),
    Wrong("[bus]\nrealtme = 5\n", 2, "unknown key 'realtme' in [bus]; did you mean 'realtime'?"),
    Wrong("[bus]\nbatched = 5\nqueue = 5\n", 3, "unknown key 'queue' in [bus]"),
    Wrong("bus.treshold = 5\n", 1, "did you mean 'threshold'?"),
    Wrong("bus = { treshold = 5 }\n", 1, "did you mean 'threshold'?"),
    Wrong("[kernel]\ndrain_time = 5\n", 2, "did you mean 'drain_timeout'?"),
    Wrong("[plugin.files]\nsettle = 1\n", 1, "did you mean 'plugins'?"),
    Wrong("[plugins.flies]\nsettle = 1\n", 1,
          "[plugins.flies]: no such plugin is installed; did you mean 'files'?"),
    Wrong("[plugins.files]\nsetle = 1\n", 2,
          "unknown key 'setle' in [plugins.files]; did you mean 'settle'?"),
    Wrong("[plugins]\nfiles.setle = 1\n", 2, "did you mean 'settle'?"),
    Wrong("[plugins.files]\nenabeld = true\n", 2, "did you mean 'enabled'?"),
    Wrong("[bridge]\nadress = 'x'\n", 2, "did you mean 'address'?"),
    Wrong("[dashboard]\nenabled = true\nprt = 1\n", 3, "did you mean 'port'?"),
    Wrong("[profiles.mine]\nplugin = ['agents']\n", 1, "unknown field `plugin`"),
    Wrong("[agent.x]\nmailbox = 5\n", 1, "did you mean 'agents'?"),
    Wrong("[a]\n[b]\n[c]\n", 1, "unknown key 'a'"),
    # wrong shapes
    Wrong("bus = 5\n", 1, "'bus' must be a table: write [bus]"),
    Wrong("kernel = []\n", 1, "'kernel' must be a table"),
    Wrong("plugins = 'files'\n", 1, "'plugins' must be a table"),
    Wrong("[[bus]]\nrealtime = 5\n", 1, "'bus' must be a table"),
    Wrong("[[plugins.files]]\nsettle = 1\n", 1, "plugins.files must be a table"),
    Wrong("[plugins]\nfiles = true\n", 2, "plugins.files must be a table, not True"),
    Wrong("[name]\nfirst = 'x'\n", 1, "'name' must be text"),
    Wrong("version = 1\n", 1, "'version' must be text, not 1"),
    Wrong("profile = 5\n", 1, "'profile' must be text"),
    Wrong("profiles = 5\n", 1, "'profiles' must be a table"),
    Wrong("profiles.mine = 5\n", 1, "mine"),
    Wrong("[profiles.mine]\nplugins = 'agents'\n", 1, "Expected `array`"),
    Wrong("[profiles.mine]\nsettings = 3\n", 1, "Expected `object`"),
    Wrong("agents = ['x']\n", 1, "'agents' must be a table"),
    Wrong("bridge = true\n", 1, "'bridge' must be a table"),
    # wrong types
    Wrong("[bus]\nrealtime = 'many'\n", 2, "'realtime' in [bus]: Expected `int`, got `str`"),
    Wrong("[bus]\nrealtime = 1.5\n", 2, "Expected `int`, got `float`"),
    Wrong("[bus]\nrealtime = true\n", 2, "Expected `int`, got `bool`"),
    Wrong("[bus]\ncredit_timeout = 1979-05-27\n", 2, "Expected `float`"),
    Wrong("[kernel]\ndrain_timeout = [1]\n", 2, "Expected `float`, got `array`"),
    Wrong("[plugins.files]\nsettle = 'soon'\n", 2,
          "'settle' in [plugins.files] must be of type number, not 'soon'"),
    Wrong("[plugins.files]\nsettle = true\n", 2, "must be of type number"),
    Wrong("[plugins.agents]\nreload = 'yes'\n", 2, "must be of type boolean, not 'yes'"),
    Wrong("[plugins.agents]\nfolder = 3\n", 2, "must be of type string, not 3"),
    Wrong("[plugins.agents]\nenabled = 1\n", 2,
          "'enabled' in [plugins.agents] must be of type boolean"),
    Wrong("[bridge]\ntimeout_sec = 'x'\n", 2, "must be of type number"),
    Wrong("[dashboard]\nport = '80'\n", 2, "must be of type integer"),
    # out of range
    Wrong("[bus]\nrealtime = 0\n", 2, "must be more than 0"),
    Wrong("[bus]\nbatched = -5\n", 2, "must be more than 0"),
    Wrong("[kernel]\nimport_timeout = 0.0\n", 2, "must be more than 0"),
    Wrong("[kernel]\ndrain_timeout = nan\n", 2, "must be"),
    Wrong("[kernel]\nimport_timeout = inf\n", 2, "must be"),
    Wrong("[bus]\ncredit_timeout = -inf\n", 2, "must be"),
    Wrong("[plugins.tools]\nremembered = 0\n", 2, "must be at least 1"),
    Wrong("[plugins.tools]\ntimeout = nan\n", 2, "must be"),
    Wrong("[plugins.tools]\ntimeout = inf\n", 2, "must be"),
    # profiles
    Wrong("profile = 'desktp'\n", 1, "unknown profile 'desktp'"),
    Wrong("\nprofile = 'mine'\n[profiles.mine]\nextends = 'yours'\n", 4, "unknown profile 'yours'"),
    Wrong("profile = 'a'\n[profiles.a]\nextends = 'b'\n[profiles.b]\nextends = 'a'\n", 3,
          "profiles extend each other: a → b → a"),
]  # fmt: skip


def start(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOOM, "kernel", "--project", project, "--exit-when-ready", *arguments],
        env=os.environ | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def complaint(done: subprocess.CompletedProcess[str], state: Path) -> str:
    """The one line that was said, once it is sure that nothing else has happened."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert not state.exists(), "no lock, no socket, nothing"
    (line,) = done.stderr.splitlines()
    return line


def test_there_are_sixty_ways() -> None:
    assert len(WRONG) >= 60


@pytest.mark.parametrize("wrong", WRONG, ids=[f"{n}" for n in range(len(WRONG))])
def test_a_wrong_file(tmp_path: Path, wrong: Wrong) -> None:
    file = tmp_path / "loom.toml"
    text = wrong.text if isinstance(wrong.text, bytes) else wrong.text.encode()
    file.write_bytes(text)
    line = complaint(start(tmp_path), tmp_path / ".loom")
    assert line.startswith(f"loom: {file}:{wrong.line}: ")
    assert wrong.says in line
    assert len(line) < 500


def test_the_right_file_starts(tmp_path: Path) -> None:
    (tmp_path / "loom.toml").write_text("profile = 'mobile-lite'\n[bus]\nrealtime = 5\n")
    done = start(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".loom").is_dir()


def test_the_users_own_file_is_named(home: Path, tmp_path: Path) -> None:
    file = home / "config" / "loom" / "config.toml"
    file.parent.mkdir()
    file.write_text("[bus]\nfast = 1\n")
    assert f"{file}:2: unknown key 'fast'" in complaint(start(tmp_path), tmp_path / ".loom")


def test_the_stronger_of_two_files_is_blamed(home: Path, tmp_path: Path) -> None:
    user = home / "config" / "loom" / "config.toml"
    user.parent.mkdir()
    user.write_text("[bus]\nrealtime = 1\n")
    (tmp_path / "loom.toml").write_text("\n[bus]\nrealtime = 'x'\n")
    line = complaint(start(tmp_path), tmp_path / ".loom")
    assert f"{tmp_path / 'loom.toml'}:3: " in line


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["--set", "bus.realtime=x"], {}, "--set: 'realtime' in [bus]: Expected `int`"),
        (["--set", "bus.realtime"], {}, "--set 'bus.realtime': write it as table.key=value"),
        (["--set", "=5"], {}, "write it as table.key=value"),
        (["--set", "bus..x=5"], {}, "write it as table.key=value"),
        (["--set", "plugins.flies.settle=1"], {}, "did you mean 'files'?"),
        (["--profile", "nope"], {}, "unknown profile 'nope'; there are desktop"),
        ([], {"LOOM_PROFILE": "nope"}, "unknown profile 'nope'"),
        ([], {"LOOM_BUS__REALTIME": "x"}, "environment: 'realtime' in [bus]"),
        ([], {"LOOM_BSU__REALTIME": "5"}, "environment: unknown key 'bsu'"),
    ],
)
def test_a_wrong_flag_or_variable(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], says: str
) -> None:
    line = complaint(start(tmp_path, *arguments, **environment), tmp_path / ".loom")
    assert says in line


def test_an_env_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"TOKEN=\xff\n")
    line = complaint(start(tmp_path), tmp_path / ".loom")
    assert f"{tmp_path / '.env'}:1: not UTF-8" in line


@pytest.mark.parametrize("text", [b"plugins = ", b"[x]\n", b"plugins = 5\n", b"\xff"])
def test_a_wrong_profile_file(home: Path, tmp_path: Path, text: bytes) -> None:
    file = home / "config" / "loom" / "profiles" / "mine.toml"
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    line = complaint(start(tmp_path, "--profile", "mine"), tmp_path / ".loom")
    assert str(file) in line


def test_a_state_folder_that_others_may_write_to(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    done = start(tmp_path, "--state", str(state), "--profile", "mobile-lite")
    assert done.returncode == 2
    assert re.search(r"others may write to .*; run: chmod 700 ", done.stderr)
    assert list(state.iterdir()) == []


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = start(tmp_path, "--state", str(tmp_path / "file" / "state"), "--profile", "mobile-lite")
    assert done.returncode == 2
    assert "cannot use" in done.stderr
    assert len(done.stderr.splitlines()) == 1
