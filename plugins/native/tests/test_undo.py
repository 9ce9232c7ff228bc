"""What tools changed can be undone: exactly, only if nobody changed it since, only by the owner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from loom import call_tool
from loom.contracts import Preparation, ToolCall, ToolResult
from loom_kernel import Runtime
from loom_plugin_native import history as bounds
from loom_plugin_native import states
from loom_plugin_native.beneath import Workspace
from loom_plugin_native.errors import WorkspaceError
from loom_plugin_native.history import Author, CannotUndo, History

from plugins.native.tests.granted import granted, provider_of

pytestmark = [pytest.mark.anyio, pytest.mark.feature("X-18")]

ADA = Author("call-1", "ada", "fs:write_file", 1.0)
OWNER = Author("undo-1", "cli", "undo", 2.0)


@pytest.fixture
def history(workspace: Workspace, tmp_path: Path) -> History:
    return History(workspace, tmp_path / "undo")


def write(history: History, workspace: Workspace, path: str, text: str) -> None:
    with history.recording(path, ADA):
        workspace.write(path, text)


def delete(history: History, workspace: Workspace, path: str) -> None:
    with history.recording(path, ADA):
        workspace.delete(path)


def test_a_new_file_is_deleted_again(history: History, workspace: Workspace, folder: Path) -> None:
    write(history, workspace, "a/note.txt", "new")
    history.undo("", OWNER)
    assert not (folder / "a/note.txt").exists()


@pytest.mark.corpus
@pytest.mark.parametrize("mode", [0o640, 0o755, 0o600])
@pytest.mark.parametrize("content", [b"", b"old\r\n", b"\xff\x00 no text"])
def test_content_and_mode_are_as_they_were(
    history: History, workspace: Workspace, folder: Path, mode: int, content: bytes
) -> None:
    file = folder / "note.txt"
    file.write_bytes(content)
    file.chmod(mode)
    write(history, workspace, "note.txt", "new")
    write(history, workspace, "note.txt", "newer")
    delete(history, workspace, "note.txt")
    history.undo("3", OWNER)
    assert file.read_text() == "newer"
    history.undo("2", OWNER)
    history.undo("1", OWNER)
    assert file.read_bytes() == content
    assert file.stat().st_mode & 0o777 == mode


def test_a_folder_and_a_link_come_back(
    history: History, workspace: Workspace, folder: Path
) -> None:
    (folder / "sub").mkdir()
    (folder / "sub").chmod(0o750)
    (folder / "link").symlink_to("nowhere")
    for path in ("sub", "link"):
        delete(history, workspace, path)
        assert not os.path.lexists(folder / path)
        history.undo("", OWNER)
    assert (folder / "sub").stat().st_mode & 0o777 == 0o750
    assert (folder / "link").readlink() == Path("nowhere")


def test_folders_on_the_way_are_made_again(
    history: History, workspace: Workspace, folder: Path
) -> None:
    write(history, workspace, "a/b/note.txt", "old")
    for path in ("a/b/note.txt", "a/b", "a"):
        delete(history, workspace, path)
    history.undo("2", OWNER)
    assert (folder / "a/b/note.txt").read_text() == "old"


def test_an_undo_can_be_undone(history: History, workspace: Workspace, folder: Path) -> None:
    write(history, workspace, "note.txt", "one")
    write(history, workspace, "note.txt", "two")
    history.undo("", OWNER)
    assert (folder / "note.txt").read_text() == "one"
    assert history.changes()[0].tool == "undo"
    history.undo("", OWNER)
    assert (folder / "note.txt").read_text() == "two"


@pytest.mark.corpus
@pytest.mark.parametrize("change", ["content", "mode", "kind", "gone"])
def test_what_was_changed_since_is_left_alone(
    history: History, workspace: Workspace, folder: Path, change: str
) -> None:
    file = folder / "note.txt"
    file.write_text("old")
    write(history, workspace, "note.txt", "new")
    match change:
        case "content":
            file.write_text("mine")
        case "mode":
            file.chmod(0o700)
        case "kind":
            file.unlink()
            file.symlink_to("elsewhere")
        case "gone":
            file.unlink()
    with pytest.raises(CannotUndo, match="changed since"):
        history.undo("", OWNER)
    history.undo("", OWNER, is_forced=True)
    assert file.read_text() == "old"
    assert not file.is_symlink()
    history.undo("", OWNER)
    assert change != "content" or file.read_text() == "mine"


def test_what_failed_is_no_change(history: History, workspace: Workspace, folder: Path) -> None:
    (folder / "sub/x").mkdir(parents=True)
    for act, path in ((write, "sub"), (delete, "sub"), (delete, "missing"), (write, "../x")):
        with pytest.raises(WorkspaceError):
            act(history, workspace, path, *(["text"] if act is write else []))
    assert history.changes() == []
    with pytest.raises(CannotUndo, match="nothing to undo"):
        history.undo("", OWNER)
    with pytest.raises(CannotUndo, match="no change '7'"):
        history.undo("7", OWNER)


def test_it_is_there_after_a_restart(
    history: History, workspace: Workspace, folder: Path, tmp_path: Path
) -> None:
    (folder / "note.txt").write_text("old")
    write(history, workspace, "note.txt", "new")
    (tmp_path / "undo/entries/.9.json.tmp").write_text("{")
    (tmp_path / "undo/entries/00000009.json").write_text("{")
    again = History(workspace, tmp_path / "undo")
    assert [change.number for change in again.changes()] == [1]
    assert again.undo("call-1", OWNER).path == "note.txt"
    assert (folder / "note.txt").read_text() == "old"
    assert not list((tmp_path / "undo").rglob("*.tmp"))
    for file in (tmp_path / "undo").rglob("*"):
        assert file.stat().st_mode & 0o077 == 0


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_ENTRIES", 5)
    monkeypatch.setattr(bounds, "MOST_BYTES", 3000)
    monkeypatch.setattr(states, "LARGEST", 2000)


@pytest.mark.usefixtures("small")
def test_the_oldest_goes_first(
    history: History, workspace: Workspace, folder: Path, tmp_path: Path
) -> None:
    for number in range(12):
        write(history, workspace, "note.txt", f"{number}")
    assert [change.number for change in history.changes()] == [12, 11, 10, 9, 8]
    for letter in "abcd":
        write(history, workspace, "note.txt", letter * 1200)
    kept = list((tmp_path / "undo/contents").iterdir())
    assert sum(file.stat().st_size for file in kept) <= 3000
    assert history.changes()[0].number == 16
    write(history, workspace, "large.txt", "x" * 2001)
    write(history, workspace, "large.txt", "small")
    with pytest.raises(CannotUndo, match="not kept"):
        history.undo("", OWNER)
    assert (folder / "large.txt").read_text() == "small"


def test_the_same_content_is_kept_once(
    history: History, workspace: Workspace, tmp_path: Path
) -> None:
    for _ in range(4):
        write(history, workspace, "note.txt", "same")
    assert len(list((tmp_path / "undo/contents").iterdir())) == 1


def test_what_cannot_be_kept_is_not_changed(
    history: History, workspace: Workspace, folder: Path, tmp_path: Path
) -> None:
    (folder / "note.txt").write_text("old")
    (tmp_path / "undo/contents").rmdir()
    with pytest.raises(WorkspaceError, match="cannot be kept") as refusal:
        write(history, workspace, "note.txt", "new")
    assert str(tmp_path) not in str(refusal.value)
    assert (folder / "note.txt").read_text() == "old"
    assert history.changes() == []


def test_a_huge_file_is_not_read(history: History, workspace: Workspace, folder: Path) -> None:
    with (folder / "huge").open("wb") as sparse:
        sparse.truncate(1 << 40)
    began = perf_counter()
    before = workspace.look("huge")
    assert perf_counter() - began < 5
    assert before.size == 1 << 40
    (folder / "huge").write_bytes(b"x")
    assert not workspace.look("huge").is_like(before)


# -- in a runtime --------------------------------------------------------------------------------


async def call(runtime: Runtime, name: str, **arguments: Any) -> ToolResult:
    return await call_tool(runtime.host("ada"), ToolCall(name, arguments))


async def test_only_the_owner_is_answered(folder: Path) -> None:
    async with granted("native", "tools", project=folder) as runtime:
        (folder / "workspace/note.txt").write_text("old")
        await call(runtime, "fs:write_file", path="note.txt", content="new")
        for sender in ("ada", "cli.ada", "CLI", "tools"):
            for topic in ("undo.list", "undo.revert"):
                answer = (await runtime.host(sender).request(topic, {})).data
                assert answer["code"] == "PERMISSION_DENIED"
        assert (folder / "workspace/note.txt").read_text() == "new"
        owner = runtime.host("cli")
        (change,) = (await owner.request("undo.list")).data["changes"]
        assert (change["caller"], change["tool"]) == ("ada", "fs:write_file")
        assert (change["before_bytes"], change["after_bytes"]) == (3, 3)
        undone = (await owner.request("undo.revert", {"which": change["call"]})).data
        assert undone["code"] == "ACTION_OK"
        assert (folder / "workspace/note.txt").read_text() == "old"
        wrong = (await owner.request("undo.revert", {"which": 7})).data
        assert wrong["code"] == "INVALID_PARAMS"


async def test_an_approval_binds_what_would_be_replaced(folder: Path) -> None:
    async def prepared(name: str, **arguments: Any) -> Preparation:
        return await provider.prepare(ToolCall(name, arguments, version="1.0"))

    async with granted("native", project=folder) as runtime:
        provider = await provider_of(runtime)
        new = await prepared("fs:write_file", path="note.txt", content="grüße")
        assert new.summary == "write 7 bytes to 'note.txt' (now: absent)"
        assert new.files == {"note.txt": "absent"}
        (folder / "workspace/note.txt").write_text("old")
        old = await prepared("fs:delete", path="note.txt")
        assert old.summary == "delete 'note.txt' (now: file of 3 bytes)"
        (folder / "workspace/note.txt").write_text("odd")
        assert (await prepared("fs:delete", path="note.txt")).files != old.files


async def test_each_tool_says_what_it_needs(folder: Path) -> None:
    async with granted("native", "tools", project=folder) as runtime:
        listed = (await runtime.host("ada").request("tool.list", {})).data["tools"]
        needs = {tool.name: tool.permissions for tool in listed}
        assert needs["fs:read_file"] == needs["fs:list_dir"] == ("fs.read",)
        assert needs["fs:write_file"] == needs["fs:delete"] == ("fs.write",)
        assert needs["system:shell"] == ("exec",)
        assert {tool.name for tool in listed if tool.is_prepared} == {
            "fs:write_file", "fs:delete", "system:shell",
        }  # fmt: skip


def loom(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loom_kernel", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_lists_and_undoes(folder: Path) -> None:
    (folder / "loom.toml").write_text(
        'profile = "test"\n[profiles.test]\nplugins = ["control", "native", "tools"]\n'
    )
    started = loom("up", cwd=folder)
    assert started.returncode == 0, started.stderr
    try:
        nothing = loom("undo", cwd=folder)
        assert (nothing.returncode, "nothing to undo" in nothing.stderr) == (1, True)
        wanted = json.dumps({"path": "note.txt", "content": "x"})
        called = loom("call", "fs:write_file", wanted, "--yes", cwd=folder)
        assert called.returncode == 0, called.stderr
        (change,) = json.loads(loom("undo", "--list", "--json", cwd=folder).stdout)
        assert (change["path"], change["caller"], change["before"]) == ("note.txt", "cli", "absent")
        assert "absent → 1 bytes" in loom("undo", "--list", cwd=folder).stdout
        undone = loom("undo", str(change["number"]), cwd=folder)
        assert undone.returncode == 0, undone.stderr
        assert "note.txt is deleted again" in undone.stdout
        assert not (folder / "workspace/note.txt").exists()
    finally:
        loom("down", cwd=folder)
    assert loom("undo", "--list", cwd=folder).returncode == 4
