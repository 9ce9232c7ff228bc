"""The .proto files keep buf's rules, and a change that would break a client is found."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import buf
from protos import PROTOS

AREA = Path("proto/loom/events/v1/events.proto")
FILE = """\
syntax = "proto3";

package loom.events.v1;

message Thing {
  string name = 1;
  uint32 count = 2;
}
"""
BROKEN = FILE.replace("uint32 count = 2", "string count = 2")


def git(root: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def write(root: Path, text: str) -> None:
    (root / AREA).parent.mkdir(parents=True, exist_ok=True)
    (root / AREA).write_text(text)


def save(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--message", "change", "--allow-empty")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init")
    write(root, FILE)
    shutil.copyfile(PROTOS / "buf.yaml", root / "proto" / "buf.yaml")
    save(root)
    return root


def test_the_proto_files_are_formatted_and_clean() -> None:
    assert buf.run(buf.ROOT, "format", "--diff", "--exit-code")
    assert buf.run(buf.ROOT, "lint")


def test_a_first_commit_has_nothing_to_break(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert buf.check(repository)
    assert "no commit came before" in capsys.readouterr().out


def test_a_change_on_main_is_compared_with_the_commit_before(repository: Path) -> None:
    write(repository, BROKEN)
    save(repository)
    assert not buf.check(repository)


def test_a_change_that_is_not_committed_is_compared_with_the_last_commit(repository: Path) -> None:
    write(repository, FILE.replace("}", "  bool more = 3;\n}"))
    assert buf.check(repository)
    write(repository, BROKEN)
    assert not buf.check(repository)


def test_a_branch_is_compared_with_where_it_left_main(repository: Path) -> None:
    git(repository, "switch", "--create", "topic")
    write(repository, BROKEN)
    save(repository)
    save(repository)
    assert not buf.check(repository)


def test_the_first_proto_files_break_nothing(repository: Path) -> None:
    git(repository, "rm", "-r", "--cached", "proto/loom")
    git(repository, "commit", "--amend", "--message", "none yet")
    save(repository)
    assert buf.check(repository)


def test_a_checkout_without_history_says_that_it_cannot_compare(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(repository, BROKEN)
    save(repository)
    for depth, passes in (("1", True), ("2", False)):
        clone = tmp_path / depth
        git(tmp_path, "clone", "--depth", depth, repository.as_uri(), str(clone))
        assert buf.check(clone) is passes
    assert "fetch with a depth of 2" in capsys.readouterr().out
