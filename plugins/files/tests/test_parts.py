"""The parts that need no disk: patterns, settling, settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom_kernel import ConfigError
from loom_plugin_files.changes import Touched, compare, examine
from loom_plugin_files.pending import Pending
from loom_plugin_files.selection import Selection
from loom_plugin_files.settings import Settings, locate
from loom_plugin_files.snapshot import Entry, Snapshot

pytestmark = pytest.mark.feature("DSK-01")


@pytest.mark.parametrize(
    ("pattern", "path", "takes"),
    [
        ("*", "a", True),
        ("*.md", "a.md", True),
        ("*.md", "deep/er/a.md", True),
        ("*.md", "a.MD", False),
        ("*.md", "a.md.tmp", False),
        ("notes/*.md", "notes/a.md", True),
        ("notes/*.md", "notes/deep/a.md", False),
        ("notes/**", "notes/deep/a.md", True),
        ("notes/**/*.md", "notes/a.md", True),
        ("**/x.txt", "x.txt", True),
        ("/top.txt", "top.txt", True),
        ("/top.txt", "sub/top.txt", False),
        ("?.txt", "a.txt", True),
        ("?.txt", "ab.txt", False),
        ("[ab].txt", "b.txt", True),
        ("[!ab].txt", "b.txt", False),
        ("a+b(1).txt", "a+b(1).txt", True),
    ],
)
def test_patterns(pattern: str, path: str, takes: bool) -> None:
    assert Selection([pattern]).takes(path) is takes


def test_what_is_inside_an_ignored_folder_is_ignored() -> None:
    selection = Selection(["*"], ["node_modules", "build/out"])
    assert not selection.enters("deep/node_modules")
    assert not selection.takes("deep/node_modules/x/y")
    assert not selection.takes("build/out/x")
    assert selection.takes("deep/build/out/x")
    assert not selection.takes(".loom/journal")


def test_excluded_folders_are_paths_not_patterns() -> None:
    selection = Selection(["*"], excluded=["state/[loom]"])
    assert not selection.takes("state/[loom]/plugins/x")
    assert selection.takes("state/l/x")
    assert selection.takes("deep/state/[loom]/x")


def test_a_path_is_taken_when_it_has_been_quiet() -> None:
    pending = Pending(settle=1.0)
    pending.touch(Touched("a", False), now=0.0)
    pending.touch(Touched("b", False), now=0.5)
    pending.touch(Touched("a", False), now=0.9)
    assert pending.next_due == 1.5
    assert [touched.relative for touched in pending.take(1.5)] == ["b"]
    assert pending.take(1.8) == []
    assert [touched.relative for touched in pending.take(1.9)] == ["a"]
    assert pending.next_due is None


def test_both_ends_of_a_rename_are_taken_together() -> None:
    pending = Pending(settle=1.0)
    pending.touch(Touched("old", False), now=0.0)
    pending.touch(Touched("new", False, "old"), now=0.0)
    pending.touch(Touched("new", False), now=0.9)
    assert pending.take(1.0) == []
    assert pending.take(1.9) == [Touched("old", False), Touched("new", False, "old")]


entries = st.builds(Entry, st.integers(1, 4), st.integers(0, 2), st.integers(0, 2))
folders = st.dictionaries(st.sampled_from("abcde"), entries)


@given(folders, folders)
def test_replaying_the_changes_gives_what_is_there(
    before: dict[str, Entry], after: dict[str, Entry]
) -> None:
    state = dict(before)
    for change in compare(before, {**dict.fromkeys(before), **after}):
        if change.source:
            assert change.relative not in state
            del state[change.source]
        if change.kind == "deleted":
            del state[change.relative]
        else:
            assert (change.relative in state) is (change.kind == "modified")
            state[change.relative] = change.entry
    assert state == after


def test_the_first_hint_of_a_chain_of_renames_is_enough(tmp_path: Path) -> None:
    def entry(name: str) -> Entry:
        status = (tmp_path / name).stat()
        return Entry(status.st_ino, status.st_size, status.st_mtime_ns)

    for name in "abc":
        (tmp_path / name).write_text(name)
    known = Snapshot({name: entry(name) for name in "abc"})
    for old, new in ("cd", "bc", "ab"):
        (tmp_path / old).rename(tmp_path / new)
    hints = [Touched("c", False), Touched("d", False, "c")]
    found = examine(tmp_path, Selection(["*"], recursive=True), hints, known)
    moves = [(change.kind, change.source, change.relative) for change in compare(known, found)]
    assert moves == [("moved", "c", "d"), ("moved", "b", "c"), ("moved", "a", "b")]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"watch": {"a.b": {"path": "x"}}}, "part of a topic"),
        ({"watch": {"a": {"path": "x", "settle": -1}}}, "settle"),
        ({"watch": {"a": {"path": "x", "patterns": ["[z-a]"]}}}, "is no pattern"),
        ({"capacity": 0}, "capacity"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, Settings)


def test_where_a_path_in_the_settings_leads(tmp_path: Path, home: Path) -> None:
    assert locate("a", "notes", tmp_path) == tmp_path / "notes"
    assert locate("a", "~/notes", None) == home / "notes"
    assert locate("a", "/notes", tmp_path) == Path("/notes")
    with pytest.raises(ConfigError, match="relative"):
        locate("a", "notes", None)
