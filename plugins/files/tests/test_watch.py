"""Real folders, real files, the operating system's own hints."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.feature("DSK-01")]


async def test_a_new_file_is_told_with_its_size(watching: Any, folder: Path) -> None:
    async with watching() as told:
        (folder / "note.md").write_text("hello")
        await told.wait_for_changes(("created", "note.md"))
        what, data = told.events[-1]
        assert what == "created"
        assert data["path"] == str(folder / "note.md")
        assert data["size"] == 5
        assert data["mtime"] == pytest.approx((folder / "note.md").stat().st_mtime)


async def test_many_writes_in_a_row_are_one_change(watching: Any, folder: Path) -> None:
    (folder / "log.txt").write_text("first")
    async with watching() as told:
        for number in range(50):
            (folder / "log.txt").write_text(f"line {number}")
        (folder / "end").touch()
        await told.wait_for_changes(("created", "end"), ("modified", "log.txt"))
        assert told.changes().count(("modified", "log.txt")) == 1


async def test_what_was_there_the_first_time_is_not_news(watching: Any, folder: Path) -> None:
    (folder / "old.txt").touch()
    async with watching() as told:
        (folder / "new.txt").touch()
        await told.wait_for_changes(("created", "new.txt"))
        assert told.changes() == [("created", "new.txt")]


async def test_a_rename_is_one_move(watching: Any, folder: Path) -> None:
    (folder / "a.txt").write_text("text")
    async with watching() as told:
        (folder / "a.txt").rename(folder / "b.txt")
        await told.wait_for_changes(("moved", "b.txt"))
        assert told.events[-1][1]["from"] == str(folder / "a.txt")
        assert told.changes() == [("moved", "b.txt")]


async def test_a_rename_that_is_written_to_is_a_move_and_a_change(
    watching: Any, folder: Path
) -> None:
    (folder / "a.txt").write_text("text")
    async with watching() as told:
        (folder / "a.txt").rename(folder / "b.txt")
        (folder / "b.txt").write_text("longer text")
        await told.wait_for_changes(("modified", "b.txt"))
        assert told.changes() == [("moved", "b.txt"), ("modified", "b.txt")]


async def test_a_chain_of_renames_is_told_in_a_playable_order(watching: Any, folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).write_text(name)
    async with watching() as told:
        (folder / "b").rename(folder / "c")
        (folder / "a").rename(folder / "b")
        await told.wait_for_changes(("moved", "b"), ("moved", "c"))
        assert told.changes() == [("moved", "c"), ("moved", "b")]


@pytest.mark.parametrize("is_new", [True, False])
async def test_an_atomic_save_is_one_change_of_the_target(
    watching: Any, folder: Path, is_new: bool
) -> None:
    if not is_new:
        (folder / "note.md").write_text("old")
    async with watching() as told:
        (folder / "note.md.tmp").write_text("new text")
        (folder / "note.md.tmp").rename(folder / "note.md")
        change = ("created" if is_new else "modified", "note.md")
        await told.wait_for_changes(change)
        assert told.changes() == [change]


async def test_an_editor_that_keeps_a_backup_makes_one_change(watching: Any, folder: Path) -> None:
    (folder / "note.md").write_text("old")
    async with watching() as told:
        (folder / "note.md").rename(folder / "note.md~")
        (folder / "note.md").write_text("new text")
        (folder / "note.md~").unlink()
        await told.wait_for_changes(("modified", "note.md"))
        assert told.changes() == [("modified", "note.md")]


async def test_in_and_out_of_the_folder_are_creation_and_deletion(
    watching: Any, folder: Path
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "in.txt").touch()
    (folder / "out.txt").touch()
    async with watching() as told:
        (outside / "in.txt").rename(folder / "in.txt")
        (folder / "out.txt").rename(outside / "out.txt")
        await told.wait_for_changes(("created", "in.txt"), ("deleted", "out.txt"))
        assert len(told.changes()) == 2


async def test_a_folder_that_moves_takes_its_files_along(watching: Any, folder: Path) -> None:
    (folder / "a/deep").mkdir(parents=True)
    (folder / "a/deep/x").write_text("x")
    (folder / "a/y").write_text("y")
    async with watching() as told:
        (folder / "a").rename(folder / "b")
        await told.wait_for_changes(("moved", "b/deep/x"), ("moved", "b/y"))
        (folder / "b/deep/new").touch()
        await told.wait_for_changes(("created", "b/deep/new"))
        assert len(told.changes()) == 3


async def test_a_folder_from_outside_brings_its_files(watching: Any, folder: Path) -> None:
    tree = folder.parent / "tree/deep"
    tree.mkdir(parents=True)
    (tree / "x").touch()
    async with watching() as told:
        (folder.parent / "tree").rename(folder / "tree")
        await told.wait_for_changes(("created", "tree/deep/x"))
        (folder / "tree").rename(folder.parent / "gone")
        await told.wait_for_changes(("deleted", "tree/deep/x"))
        (folder.parent / "gone/deep/unseen").touch()
        (folder / "end").touch()
        await told.wait_for_changes(("created", "end"))
        assert len(told.changes()) == 3


async def test_new_nested_folders_are_watched_at_once(watching: Any, folder: Path) -> None:
    async with watching() as told:
        for number in range(20):
            deep = folder / f"{number}/b/c/d"
            deep.mkdir(parents=True)
            (deep / "x").touch()
            (deep.parent / "y").touch()
        await told.wait_for(lambda: told.count("created") >= 40)
        assert len(set(told.paths("created"))) == told.count("created") == 40


async def test_removing_a_tree_tells_every_file_once(watching: Any, folder: Path) -> None:
    for number in range(100):
        path = folder / f"tree/{number % 7}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    async with watching() as told:
        shutil.rmtree(folder / "tree")
        await told.wait_for(lambda: told.count("deleted") >= 100)
        assert len(set(told.paths("deleted"))) == len(told.changes()) == 100


async def test_a_file_that_takes_a_folders_place(watching: Any, folder: Path) -> None:
    (folder / "thing").mkdir()
    (folder / "thing/x").touch()
    async with watching() as told:
        shutil.rmtree(folder / "thing")
        (folder / "thing").write_text("now a file")
        await told.wait_for_changes(("deleted", "thing/x"), ("created", "thing"))


async def test_only_matching_files_are_told(watching: Any, folder: Path) -> None:
    (folder / ".loom").mkdir()
    (folder / "skip").mkdir()
    async with watching(patterns=("*.md",), ignore=("skip", "draft-*")) as told:
        for name in (".loom/a.md", "skip/b.md", "draft-c.md", "d.txt", "e.md"):
            (folder / name).touch()
        (folder / "d.txt").rename(folder / "d.md")
        await told.wait_for_changes(("created", "e.md"), ("created", "d.md"))
        assert len(told.changes()) == 2


async def test_not_recursive_means_the_top_only(watching: Any, folder: Path) -> None:
    (folder / "sub").mkdir()
    async with watching(recursive=False) as told:
        (folder / "sub/a").touch()
        (folder / "b").touch()
        await told.wait_for_changes(("created", "b"))
        assert told.changes() == [("created", "b")]


async def test_links_are_neither_told_nor_followed(watching: Any, folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (folder / "sub").mkdir()
    (folder / "sub/x").touch()
    async with watching() as told:
        (folder / "link").symlink_to(outside)
        (outside / "x").write_text("secret")
        shutil.rmtree(folder / "sub")
        (folder / "sub").symlink_to(outside)
        (folder / "end").touch()
        await told.wait_for_changes(("created", "end"), ("deleted", "sub/x"))
        assert len(told.changes()) == 2


async def test_a_watched_folder_may_itself_be_reached_by_a_link(
    watching: Any, folder: Path
) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    async with watching(folder=link) as told:
        (folder / "a").touch()
        await told.wait_for_changes(("created", "a"))
        assert told.events[-1][1]["path"] == str(link / "a")


async def test_names_that_are_not_unicode_are_told_readably(watching: Any, folder: Path) -> None:
    (folder / os.fsdecode(b"old\xe9")).touch()
    async with watching() as told:
        (folder / os.fsdecode(b"caf\xe9")).touch()
        await told.wait_for_changes(("created", "caf\ufffd"))
    async with watching() as told:
        assert told.changes() == []
