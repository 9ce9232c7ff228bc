"""Whatever happens amid a change, an app's tools are as they were, or as they shall be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from loom.pins import Pins
from loom_kernel import Paths

from plugins.tools.tests.archives.building import DEFLATED, Entry, archive
from plugins.tools.tests.archives.site import CONFIG, Site
from plugins.tools.tests.archives.test_installing import UPDATE

TROUBLED = Path(__file__).parent / "programs" / "troubled.py"
pytestmark = [pytest.mark.reliability("S7", "S20"), pytest.mark.feature("X-11")]
Done = subprocess.CompletedProcess[str]


def troubled(site: Site, trouble: str, *words: str | Path) -> Done:
    """`loom tools WORDS` in trouble."""
    command = [sys.executable, TROUBLED, trouble, "--project", site.app, *words]
    return subprocess.run(
        command, cwd=site.folder, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def words_of(site: Site, change: str) -> list[str | Path]:
    """The command that makes *change*, with all that has to be there before it."""
    if change != "install":
        assert site.install(archive(), "--yes").code == 0
    if change == "remove":
        return ["remove", "words", "--yes"]
    content = UPDATE if change == "update" else archive()
    return ["install", site.put(content, "new.zip"), "--yes"]


BOUNDARIES = {"install": "rename", "update": "kill", "remove": "rename"}
"""Where it is killed; with LOOM_TEST_LONG=1 at every change of anything."""


@pytest.mark.parametrize("change", BOUNDARIES)
def test_a_command_killed_anywhere_has_done_all_or_nothing(tmp_path: Path, change: str) -> None:
    model = Site(tmp_path / "model")
    words = words_of(model, change)
    before = model.tree()
    spare = tmp_path / "spare"
    shutil.copytree(model.app, spare)
    assert model.tools(*words).code == 0
    after = model.tree()
    outcomes = []
    kind = "every" if os.environ.get("LOOM_TEST_LONG") else BOUNDARIES[change]
    for number in range(1, 200):
        shutil.rmtree(model.app)
        shutil.copytree(spare, model.app)
        done = troubled(model, f"{kind}:{number}", *words)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        model.tools("verify")  # whatever it says, first it puts things right
        assert model.tree() in (before, after), number
        outcomes.append(model.tree() == after)
    assert len(outcomes) >= 3
    assert sorted(outcomes) == outcomes  # once it is done, it stays done
    assert not outcomes[0]


def test_a_command_goes_on_after_one_that_was_killed(site: Site) -> None:
    words = words_of(site, "update")
    # 1 the journal, 2 the old folder, 3 the new one, 4 loom.toml, 5 tools.lock
    assert troubled(site, "rename:5", *words).returncode == -signal.SIGKILL
    torn = site.tree()
    assert {"tools/words/more.txt", "tools/.install/old/main.py"} <= torn.keys()
    assert "network = true" in site.config
    said = site.tools(*words)
    assert said.code == 0
    assert "a command that changed words was interrupted: it is undone" in said.text
    assert "installed now: 1.0" in said.text
    assert site.tools("verify").text == "words 1.1: as installed\n"
    assert "tools/.install" not in site.tree()


def test_no_trust_outlives_what_was_trusted(site: Site) -> None:
    words = words_of(site, "update")
    trusted = Pins(Paths(site.app, site.app, site.app, site.app), "process")
    trusted.put("words", {"command": ["python3", "main.py"]})
    # 1 the journal, 2 tools.lock without its trust, 3 the old folder
    assert troubled(site, "rename:3", *words).returncode == -signal.SIGKILL
    assert trusted.get("words") is None
    assert site.tools("verify").text.endswith("words 1.0: as installed\n")
    assert trusted.get("words") == {"command": ["python3", "main.py"]}


FULL: dict[str, tuple[int, int, int]] = {
    # bytes of: what the archive's file holds, loom.toml, the limit
    "while unpacking": (100_000, 100, 50_000),
    "at loom.toml": (10, 30_000, 30_010),
    "at tools.lock": (10, 100, 40_050),
}


@pytest.mark.parametrize("change", ["install", "update"])
@pytest.mark.parametrize("place", FULL)
def test_a_full_disk_leaves_the_app_as_it_was(site: Site, place: str, change: str) -> None:
    size, config, limit = FULL[place]
    if change == "update":
        assert site.install(archive(), "--yes").code == 0
    held = site.config
    (site.app / "loom.toml").write_text(f"# {'x' * (config - len(held))}\n{held}", "utf-8")
    lock = Pins(Paths(site.app, site.app, site.app, site.app), "mcp")
    lock.put("other", {"x": ""})
    lock.put("other", {"x": "x" * (40_000 - lock.path.stat().st_size)})
    content = Entry("data.bin", os.urandom(size), method=DEFLATED)
    path = site.put(archive(content, version="1.1"))
    before = site.tree()
    done = troubled(site, f"size:{limit}", "install", path, "--yes")
    assert done.returncode == 1, done.stderr
    assert "nothing was changed" in done.stderr
    assert "File too large" in done.stderr
    assert site.tree() == before
    assert troubled(site, "size:9000000", "install", path, "--yes").returncode == 0


def test_an_error_in_between_is_undone_at_once(site: Site) -> None:
    words = words_of(site, "update")
    lock = site.app / "tools.lock"
    (site.app / ".tools.lock.guard").unlink()
    (site.app / ".tools.lock.guard").mkdir()  # so that tools.lock cannot be written
    before = site.tree()
    said = site.tools(*words)
    assert said.code == 1
    (site.app / ".tools.lock.guard").rmdir()
    assert lock.exists()
    site.tools("verify")
    assert site.tree() == before


def test_of_two_at_once_the_second_is_told(site: Site) -> None:
    first = subprocess.Popen(
        [sys.executable, TROUBLED, "none", "--project", site.app, "install",
         site.put(archive())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert first.stdout is not None
    said = ""
    while "Install words into" not in said:
        said += (letter := first.stdout.read(1))
        assert letter, said
    second = site.tools("install", site.folder / "words-1.0.zip", "--yes")
    assert second.code == 1
    assert "another command changes the tools" in second.text
    first.communicate("y\n", timeout=60)
    assert first.returncode == 0
    assert site.tools("verify").code == 0


@pytest.mark.parametrize(
    ("mode", "name", "why"),
    [(0o755, "words", "is not private"), (0o700, "../../outside", "names no tool")],
)
def test_a_journal_that_came_with_an_app_is_not_obeyed(
    site: Site, mode: int, name: str, why: str
) -> None:
    work = site.app / "tools" / ".install"
    work.mkdir(parents=True)
    work.chmod(mode)
    (work / "before.toml").write_text("evil = true")
    (site.folder / "outside").mkdir()
    records = {"process": {"words": "trusted"}}
    journal = {"name": name, "had_folder": False, "brings_folder": True, "after": "",
               "records": records}  # fmt: skip
    (work / "journal.json").write_text(json.dumps(journal))
    path = site.put(archive())
    before = site.tree(site.folder)
    said = site.tools("install", path, "--yes")
    assert said.code == 1
    assert why in said.text
    assert site.tree(site.folder) == before


def test_an_installer_asks_no_network_and_runs_nothing(site: Site) -> None:
    path = site.put(archive(Entry("lib/__init__.py", b"raise SystemExit(9)\n")))
    done = troubled(site, "watch", "install", path, "--yes")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert not list(site.folder.rglob("ran"))
    assert site.config.startswith(CONFIG)
