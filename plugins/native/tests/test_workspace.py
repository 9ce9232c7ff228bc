"""What the file operations do, with either way of staying beneath the folder."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from loom_plugin_native import contents
from loom_plugin_native.beneath import Entry, Workspace
from loom_plugin_native.errors import (
    DirectoryNotEmpty,
    FileTooLarge,
    InvalidPath,
    NotText,
    OperationDenied,
    PathEscapes,
    PathNotFound,
    WorkspaceError,
    WorkspaceGone,
    WrongKind,
)

pytestmark = pytest.mark.feature("NAT-01")


def test_reads_exactly_what_is_stored(workspace: Workspace, folder: Path) -> None:
    (folder / "note.txt").write_bytes("grüße\r\n\n".encode())
    assert workspace.read("note.txt") == "grüße\r\n\n"


def test_writes_with_parents_and_counts_bytes(workspace: Workspace, folder: Path) -> None:
    assert workspace.write("a/b/c/note.txt", "grüße") == 7
    assert (folder / "a/b/c/note.txt").read_text() == "grüße"


def test_replaces_a_file_and_keeps_its_mode(workspace: Workspace, folder: Path) -> None:
    script = folder / "run.sh"
    script.write_text("old")
    script.chmod(0o750)
    workspace.write("run.sh", "new")
    assert script.read_text() == "new"
    assert stat.S_IMODE(script.stat().st_mode) == 0o750


def test_a_reader_keeps_the_old_content_while_it_is_replaced(
    workspace: Workspace, folder: Path
) -> None:
    (folder / "note.txt").write_text("old")
    with (folder / "note.txt").open() as reader:
        workspace.write("note.txt", "new")
        assert reader.read() == "old"
    assert [path.name for path in folder.iterdir()] == ["note.txt"]


def test_a_write_that_fails_leaves_nothing_behind(workspace: Workspace, folder: Path) -> None:
    (folder / "taken").mkdir()
    with pytest.raises(WrongKind):
        workspace.write("taken", "text")
    assert [path.name for path in folder.iterdir()] == ["taken"]


def test_lists_names_kinds_and_sizes_in_order(workspace: Workspace, folder: Path) -> None:
    (folder / "b.txt").write_text("four")
    (folder / "a").mkdir()
    (folder / "c").symlink_to("b.txt")
    os.mkfifo(folder / "d")
    listing = workspace.list(".")
    assert listing.entries == (
        Entry("a", "directory", 0),
        Entry("b.txt", "file", 4),
        Entry("c", "link", 0),
        Entry("d", "other", 0),
    )
    assert not listing.truncated


def test_a_listing_is_bounded_and_says_so(workspace: Workspace, folder: Path) -> None:
    for number in range(12):
        (folder / f"{number:02}").touch()
    cut = workspace.list(".", limit=5)
    assert [entry.name for entry in cut.entries] == ["00", "01", "02", "03", "04"]
    assert cut.truncated
    assert not workspace.list(".", limit=12).truncated


def test_lists_names_that_are_not_unicode(workspace: Workspace, folder: Path) -> None:
    (folder / os.fsdecode(b"caf\xe9")).touch()
    assert [entry.name for entry in workspace.list(".").entries] == ["caf\ufffd"]


def test_deletes_a_file_and_an_empty_directory(workspace: Workspace, folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/note.txt").touch()
    with pytest.raises(DirectoryNotEmpty):
        workspace.delete("sub")
    assert not workspace.delete("sub/note.txt").was_directory
    assert workspace.delete("sub").was_directory
    assert list(folder.iterdir()) == []


def test_deletes_a_link_but_not_what_it_points_to(workspace: Workspace, folder: Path) -> None:
    (folder / "real.txt").touch()
    (folder / "link").symlink_to("real.txt")
    workspace.delete("link")
    assert [path.name for path in folder.iterdir()] == ["real.txt"]


OPERATIONS: dict[str, Callable[[Workspace, str], object]] = {
    "read": Workspace.read,
    "write": lambda workspace, path: workspace.write(path, "text"),
    "list": Workspace.list,
    "delete": Workspace.delete,
}
operations = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)


@pytest.mark.feature("SEC-01")
@operations
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("", InvalidPath),
        ("a\0b", InvalidPath),
        ("a\nb", InvalidPath),
        ("a\\b", InvalidPath),
        ("\udcff", InvalidPath),
        ("n" * 256, InvalidPath),
        ("é" * 128, InvalidPath),
        ("d/" * 65, InvalidPath),
        ("/etc/passwd", PathEscapes),
        ("../x", PathEscapes),
        ("a/../b", PathEscapes),
        ("C:\\Windows", InvalidPath),
        ("C:/Windows", PathEscapes),
        ("\\\\server\\share", InvalidPath),
    ],
)
def test_refuses_a_path_that_is_not_names_below(
    workspace: Workspace,
    operation: Callable[[Workspace, str], object],
    path: str,
    error: type[WorkspaceError],
) -> None:
    with pytest.raises(error):
        operation(workspace, path)


@pytest.mark.feature("SEC-01")
@operations
@pytest.mark.parametrize("target", ["..", "../outside", "/", "{outside}", "/proc/self/root"])
def test_refuses_a_link_out_of_the_workspace(
    workspace: Workspace,
    folder: Path,
    operation: Callable[[Workspace, str], object],
    target: str,
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "loom-test-x").write_text("secret")
    (folder / "link").symlink_to(target.format(outside=outside))
    with pytest.raises(WorkspaceError) as refusal:
        operation(workspace, "link/loom-test-x")
    assert str(folder.parent) not in str(refusal.value)
    assert (outside / "loom-test-x").read_text() == "secret"


def test_only_openat2_follows_a_link_that_stays_inside(workspace: Workspace, folder: Path) -> None:
    (folder / "real/deep").mkdir(parents=True)
    (folder / "real/note.txt").write_text("inside")
    (folder / "link").symlink_to("real/deep/..")
    if workspace.mechanism == "walk":
        with pytest.raises(WrongKind):
            workspace.read("link/note.txt")
        return
    assert workspace.read("link/note.txt") == "inside"
    workspace.write("link/new/other.txt", "too")
    assert (folder / "real/new/other.txt").read_text() == "too"


def test_does_not_write_through_a_link(workspace: Workspace, folder: Path) -> None:
    (folder / "real.txt").write_text("old")
    (folder / "link").symlink_to("real.txt")
    with pytest.raises(WrongKind, match="is a link"):
        workspace.write("link", "new")
    assert (folder / "real.txt").read_text() == "old"


def test_a_write_does_not_reach_another_name_of_the_same_file(
    workspace: Workspace, folder: Path
) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.write_text("old")
    (folder / "shared").hardlink_to(elsewhere)
    workspace.write("shared", "new")
    assert elsewhere.read_text() == "old"


def test_refuses_pipes_sockets_and_directories_as_files(workspace: Workspace, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "sub").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "socket"))
        for name in ("pipe", "socket", "sub"):
            with pytest.raises(WrongKind):
                workspace.read(name)
            with pytest.raises(WrongKind):
                workspace.write(name, "text")


def test_refuses_what_is_too_large(workspace: Workspace, folder: Path) -> None:
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(contents.MAX_BYTES + 1)
    with pytest.raises(FileTooLarge):
        workspace.read("sparse")
    with pytest.raises(FileTooLarge):
        workspace.write("note.txt", "x" * (contents.MAX_BYTES + 1))
    assert workspace.write("sparse", "small") == 5


def test_refuses_what_is_not_text(workspace: Workspace, folder: Path) -> None:
    (folder / "image").write_bytes(b"\x89PNG\xff")
    with pytest.raises(NotText):
        workspace.read("image")
    with pytest.raises(NotText):
        workspace.write("note.txt", "\ud800")


def test_refuses_to_replace_a_read_only_file(workspace: Workspace, folder: Path) -> None:
    (folder / "fixed.txt").write_text("old")
    (folder / "fixed.txt").chmod(0o444)
    with pytest.raises(OperationDenied):
        workspace.write("fixed.txt", "new")


@operations
def test_the_workspace_itself_is_neither_file_nor_deletable(
    workspace: Workspace, operation: Callable[[Workspace, str], object]
) -> None:
    if operation is Workspace.list:
        return
    with pytest.raises(WorkspaceError):
        operation(workspace, "./")


def test_missing_names_are_said_to_be_missing(workspace: Workspace) -> None:
    for operation in (workspace.read, workspace.list, workspace.delete):
        with pytest.raises(PathNotFound, match="'sub/nothing' does not exist"):
            operation("sub/nothing")


@operations
def test_says_when_the_folder_is_gone(
    workspace: Workspace, folder: Path, operation: Callable[[Workspace, str], object]
) -> None:
    folder.rmdir()
    with pytest.raises(WorkspaceGone):
        operation(workspace, "a/note.txt")


@operations
def test_refuses_after_close(
    workspace: Workspace, operation: Callable[[Workspace, str], object]
) -> None:
    workspace.close()
    with pytest.raises(WorkspaceGone):
        operation(workspace, "note.txt")


def test_leaves_no_handle_open(workspace: Workspace, folder: Path) -> None:
    handles = Path("/proc/self/fd")
    if not handles.exists():
        pytest.skip("no /proc to count handles in")
    (folder / "note.txt").touch()
    before = len(list(handles.iterdir()))
    for path in ("note.txt", "missing", "new/x", "../x", "note.txt/x"):
        for operation in OPERATIONS.values():
            try:
                operation(workspace, path)
            except WorkspaceError:
                continue
    assert len(list(handles.iterdir())) == before
