"""What a Loom that was killed amid a write left behind, and what is somebody else's."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from loom_kernel.testing import running, wait_until
from loom_plugin_native import contents
from loom_plugin_native.beneath import Workspace
from loom_plugin_native.history import Author, History

pytestmark = pytest.mark.feature("NAT-01")
WRITER = Path(__file__).with_name("killed.py")
NAME = ".loom-0123456789abcdef.tmp"
TRIES = 30


def drafts(folder: Path) -> list[Path]:
    return sorted(folder.glob("deep/.loom-*.tmp"))


async def leave_draft(folder: Path, state: Path) -> None:
    """Kill a writer until it leaves one: it may have finished just before."""
    for _ in range(TRIES):
        writer = await asyncio.create_subprocess_exec(sys.executable, WRITER, folder, state)
        try:
            await wait_until(lambda: drafts(folder), every=0.0005)
        finally:
            writer.kill()
            assert await writer.wait() == -signal.SIGKILL
        if drafts(folder):
            return
    pytest.fail(f"{TRIES} writers were killed, and none amid a write")


@pytest.mark.anyio
async def test_what_a_killed_loom_left_half_written_is_gone_after_the_next_start(
    tmp_path: Path,
) -> None:
    folder, state = tmp_path / "workspace", tmp_path / "state"
    folder.mkdir()
    config = {"workspace": {"root": str(folder)}}
    async with running("native", "tools", state=state, config=config) as runtime:
        kept = runtime.host("look").world.paths.of("native").state
    await leave_draft(folder, kept / "undo")
    others = [folder / "deep" / "notes.tmp", folder / "deep" / ".loom-mine.tmp"]
    for other in others:
        other.write_text("keep me")
    async with running("native", "tools", state=state, config=config) as runtime:
        assert runtime.health()["native"].healthy
        assert drafts(folder) == [others[1]]
        assert [other.read_text() for other in others] == ["keep me"] * 2


def test_a_draft_that_is_being_written_stays(workspace: Workspace, folder: Path) -> None:
    root = os.open(folder, os.O_RDONLY)
    handle, draft = contents._begin(root)
    try:
        assert workspace.tidy(".") == 0
        assert (folder / draft).exists()
    finally:
        os.close(handle)
        os.close(root)
    assert workspace.tidy(".") == 1
    assert not (folder / draft).exists()


def test_what_only_has_such_a_name_stays(workspace: Workspace, folder: Path) -> None:
    target = folder / "precious.txt"
    target.write_text("keep me")
    (folder / NAME).symlink_to(target)
    (folder / NAME.replace("0", "1")).mkdir()
    os.link(target, folder / NAME.replace("0", "2"))
    os.mkfifo(folder / NAME.replace("0", "3"))
    for name in (".loom-0123456789ABCDEF.tmp", f"{NAME}.txt", f"a{NAME}", ".loom-0123.tmp"):
        (folder / name).write_text("keep me")
    before = sorted(folder.iterdir())
    assert workspace.tidy(".") == 0
    assert sorted(folder.iterdir()) == before


def test_only_where_a_change_was_not_finished_is_looked(
    workspace: Workspace, folder: Path, tmp_path: Path
) -> None:
    history = History(workspace, tmp_path / "undo")
    with history.recording("done/a.txt", Author("1", "me", "write", 0.0)):
        workspace.write("done/a.txt", "a")
    (folder / "done" / NAME).write_text("somebody else's, for all we know")
    assert history.tidy() == 0
    assert (folder / "done" / NAME).exists()
