"""Lost hints, restarts and folders that leave: nothing that changed stays untold."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from anyio.lowlevel import checkpoint
from loom_plugin_files.changes import Touched, examine_all
from loom_plugin_files.hints import HintQueue
from loom_plugin_files.inotify import InotifyObserver
from loom_plugin_files.observer import FolderObserver
from loom_plugin_files.selection import Selection
from loom_plugin_files.snapshot import Entry, Snapshot
from watchdog.events import FileCreatedEvent
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent, Mask, WatchDescriptor

pytestmark = [pytest.mark.anyio, pytest.mark.feature("DSK-01")]
LOG = logging.getLogger("loom.test")


async def test_a_burst_that_overflows_the_queue_is_told_completely(
    watching: Any, folder: Path
) -> None:
    names = {f"{number // 100}/{number}.txt" for number in range(3_000)}
    async with watching(capacity=16) as told:
        for name in sorted(names):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(name)
        await told.wait_for(lambda: set(told.paths("created")) >= names, timeout=60)
        await told.wait_for(lambda: "overflow" in told.reasons())
        assert told.count("created") == len(names)


async def test_an_overflow_in_the_kernel_leads_to_a_rescan(folder: Path) -> None:
    queue = HintQueue(10, lambda: None)
    observer = InotifyObserver(queue, LOG)
    overflow = InotifyEvent(WatchDescriptor(-1), Mask(InotifyConstants.IN_Q_OVERFLOW), 0, b"")
    observer._reader.handle_event(overflow)
    observer._reader.close()
    assert queue.take() == ([], "overflow")


async def test_a_failing_handler_costs_a_rescan_and_not_the_watch(folder: Path) -> None:
    class Broken(Selection):
        def takes(self, relative: str) -> bool:
            raise RuntimeError(relative)

    queue = HintQueue(10, lambda: None)
    observer = FolderObserver(folder, Broken(["*"]), queue, LOG)
    observer._handler.dispatch(FileCreatedEvent(str(folder / "x")))
    assert queue.take() == ([], "error")
    observer.start(recursive=True)
    assert observer.is_alive
    observer.stop()
    assert not observer.is_alive


def test_the_queue_is_bounded_and_says_what_it_lost() -> None:
    wakes: list[int] = []
    queue = HintQueue(2, lambda: wakes.append(1))
    for name in "abcd":
        queue.put(Touched(name, False))
    assert queue.take() == ([], "overflow")
    queue.put(Touched("e", False))
    assert queue.take() == ([Touched("e", False)], "")
    assert wakes


async def test_what_changed_while_loom_was_down_is_told(watching: Any, folder: Path) -> None:
    for name in ("kept", "changed", "removed", "renamed"):
        (folder / name).write_text(name)
    async with watching() as told:
        (folder / "seen").touch()
        await told.wait_for_changes(("created", "seen"))
    (folder / "changed").write_text("something else")
    (folder / "removed").unlink()
    (folder / "renamed").rename(folder / "new-name")
    (folder / "added").touch()
    async with watching() as told:
        assert told.changes() == [
            ("moved", "new-name"),
            ("deleted", "removed"),
            ("created", "added"),
            ("modified", "changed"),
        ]
        assert told.events[-1][0] == "rescanned"
        assert told.events[-1][1] | {"path": ""} == {
            "path": "",
            "reason": "start",
            "files": 5,
            "created": 1,
            "modified": 1,
            "moved": 1,
            "deleted": 1,
        }
    async with watching() as told:
        assert told.changes() == []


async def test_what_could_not_be_told_before_the_stop_is_told_after(
    watching: Any, folder: Path
) -> None:
    async with watching() as told:
        told.gate.clear()
        (folder / "a").touch()
    async with watching() as told:
        assert told.changes() == [("created", "a")]


async def test_a_damaged_memory_is_a_fresh_start(
    watching: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching():
        pass
    memory = folder.parent / "state/watch.json"
    assert memory.stat().st_mode & 0o777 == 0o600
    assert memory.parent.stat().st_mode & 0o777 == 0o700
    memory.write_bytes(b"{")
    (folder / "a").touch()
    async with watching() as told:
        assert told.changes() == []
        assert "is lost" in caplog.text


async def test_a_folder_that_is_removed_is_missing_until_it_is_back(
    watching: Any, folder: Path
) -> None:
    (folder / "a").touch()
    (folder / "b").touch()
    async with watching() as told:
        shutil.rmtree(folder)
        await told.wait_for(lambda: told.count("missing") == 1)
        folder.mkdir()
        (folder / "b").write_text("back")
        (folder / "c").touch()
        await told.wait_for(lambda: "returned" in told.reasons())
        (folder / "d").touch()
        await told.wait_for_changes(("created", "c"), ("created", "d"), ("deleted", "a"))
        assert told.count("missing") == 1


async def test_a_folder_that_is_moved_away_loses_no_file_meanwhile(
    watching: Any, folder: Path
) -> None:
    (folder / "a").write_text("a")
    async with watching() as told:
        folder.rename(folder.parent / "away")
        await told.wait_for(lambda: told.count("missing") == 1)
        (folder.parent / "away/b").touch()
        (folder.parent / "away").rename(folder)
        await told.wait_for_changes(("created", "b"))
        assert told.changes() == [("created", "b")]


async def test_a_folder_that_is_replaced_is_watched_anew(watching: Any, folder: Path) -> None:
    (folder / "a").write_text("a")
    async with watching() as told:
        folder.rename(folder.parent / "old")
        folder.mkdir()
        (folder / "b").touch()
        await told.wait_for_changes(("created", "b"), ("deleted", "a"))
        (folder / "c").touch()
        await told.wait_for_changes(("created", "c"))


async def test_a_folder_that_comes_only_later_is_waited_for(watching: Any, folder: Path) -> None:
    folder.rmdir()
    async with watching() as told:
        assert [what for what, _ in told.events] == ["missing"]
        folder.mkdir()
        (folder / "a").touch()
        await told.wait_for_changes(("created", "a"))


async def test_a_dead_observer_is_replaced(watching: Any, folder: Path) -> None:
    observers: list[FolderObserver] = []
    start = FolderObserver.start

    def remember(observer: FolderObserver, *, recursive: bool) -> None:
        observers.append(observer)
        start(observer, recursive=recursive)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FolderObserver, "start", remember)
        async with watching() as told:
            observers[0].stop()
            (folder / "a").touch()
            await told.wait_for_changes(("created", "a"))
            await told.wait_for(lambda: "restarted" in told.reasons())
            assert len(observers) == 2


def test_a_folder_that_cannot_be_read_is_not_taken_for_empty(folder: Path) -> None:
    # Deeper than a path can be long: unreadable for everyone, also for root.
    name = "d" * 250
    here = os.open(folder, os.O_RDONLY)
    for _ in range(20):
        os.mkdir(name, dir_fd=here)
        deeper = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    known = Snapshot({"/".join([name] * 20) + "/x": Entry(1, 2, 3), "gone": Entry(4, 5, 6)})
    found = examine_all(folder, Selection(["*"]), known, held=set())
    shutil.rmtree(folder)
    assert found == {"gone": None}


def stir(folder: Path, random: Random) -> None:
    """One of the things that people and programs do to files."""
    names = [f"{random.choice('abc')}{'/' + random.choice('xyz') * depth}" for depth in range(3)]
    one, two = (folder / random.choice(names).rstrip("/") for _ in range(2))
    with contextlib.suppress(OSError):  # much of it is impossible at that moment
        match random.randrange(6):
            case 0:
                one.parent.mkdir(parents=True, exist_ok=True)
                one.write_text("x" * random.randrange(100))
            case 1:
                one.unlink()
            case 2:
                one.rename(two)
            case 3:
                shutil.rmtree(one)
            case 4:
                one.mkdir(parents=True)
            case 5:
                two.hardlink_to(one)


def sizes(folder: Path) -> dict[str, int]:
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.corpus
@pytest.mark.parametrize("capacity", [8, 10_000])
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_the_told_changes_lead_to_what_is_there(
    watching: Any, folder: Path, seed: int, capacity: int
) -> None:
    random = Random(seed)
    async with watching(capacity=capacity, settle=0.01) as told:
        for _ in range(40):
            for _ in range(random.randrange(40)):
                stir(folder, random)
            await checkpoint()
        await told.wait_for(lambda: replay(told.events) == sizes(folder))


def replay(events: list[tuple[str, dict[str, Any]]]) -> dict[str, int]:
    """What a subscriber who trusts every change believes to be there."""
    files: dict[str, int] = {}
    root = ""
    for what, data in events:
        if "relative" not in data:
            root = data["path"]
        elif what == "deleted":
            del files[data["relative"]]
        else:
            if what == "moved":
                del files[os.path.relpath(data["from"], root)]
            assert (data["relative"] in files) is (what == "modified")
            files[data["relative"]] = data["size"]
    return files
