"""S2: somebody swaps a directory for a link while the tools work. Nothing may escape."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from loom_plugin_native.beneath import Workspace
from loom_plugin_native.errors import WorkspaceError
from loom_plugin_native.states import State

IS_LONG = os.environ.get("LOOM_TEST_LONG") == "1"
SECONDS = 3.0
TRIES, LONGEST = 500_000, 100.0
"""The long form goes on until there were so many tries, but no more than so many seconds."""
EXCHANGING = Path(__file__).with_name("exchanging.py")

pytestmark = [
    pytest.mark.feature("SEC-01", "NAT-01"),
    pytest.mark.reliability("S2"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: RENAME_EXCHANGE"),
]


@pytest.fixture
def outside(folder: Path) -> Path:
    """The folder that the link points to; the tools may not see or change it."""
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "note.txt").write_text("secret")
    (outside / "victim.txt").write_text("keep")
    (folder / "sub").mkdir()
    (folder / "sub/note.txt").write_text("inside")
    (folder / "link").symlink_to(outside)
    return outside


@contextmanager
def swapping(folder: Path) -> Iterator[None]:
    child = subprocess.Popen(
        [sys.executable, str(EXCHANGING), str(folder), "sub", "link"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "swapping\n"
    try:
        yield
    finally:
        swaps, _ = child.communicate()
    print(f"{swaps.strip()} swaps")
    assert int(swaps) > 1_000


def attempt(
    operations: Sequence[Callable[[], object]], seconds: float, tries: int = 0
) -> Counter[str]:
    """Run the operations in turn until the time is over; count what became of them.

    With *tries*, until there were so many too, but no longer than `LONGEST`.
    """
    outcomes: Counter[str] = Counter()
    begins = time.monotonic()
    while (passed := time.monotonic() - begins) < seconds or (
        outcomes.total() < tries and passed < LONGEST
    ):
        for operation in operations:
            try:
                operation()
                outcomes["done"] += 1
            except (WorkspaceError, OSError) as refusal:
                outcomes[type(refusal).__name__] += 1
    return outcomes


def test_nothing_escapes_while_a_directory_is_swapped_for_a_link(
    workspace: Workspace, folder: Path, outside: Path
) -> None:
    def read() -> None:
        assert workspace.read("sub/note.txt") == "inside"

    def list_() -> None:
        assert "victim.txt" not in {entry.name for entry in workspace.list("sub").entries}

    def look() -> None:
        assert workspace.look("sub/note.txt", keep=64).content in (b"inside", None)

    def put_back() -> None:
        workspace.put_back("sub/new/back.txt", State("file", "", 0o600, 4, "", b"back"))

    def write() -> None:
        workspace.write("sub/new/deep.txt", "written")

    def delete() -> None:
        workspace.delete("sub/victim.txt")

    # Reads cost no disk sync, so most tries are theirs.
    with swapping(folder):
        cheap = [read, list_, delete, look] * (500 if IS_LONG else 20)
        outcomes = attempt([*cheap, write, put_back], SECONDS, TRIES if IS_LONG else 0)
    print(f"{workspace.mechanism}: {outcomes.total()} tries, {dict(outcomes)}")
    assert not IS_LONG or outcomes.total() >= TRIES
    assert outcomes["done"] > 100, "the directory was never met"
    assert outcomes.total() - outcomes["done"] > 100, "the link was never met"
    assert {path.name: path.read_text() for path in outside.iterdir()} == {
        "note.txt": "secret",
        "victim.txt": "keep",
    }


def test_checking_first_and_opening_later_does_escape(folder: Path, outside: Path) -> None:
    """The control: the same attack gets through the way that most code does it."""
    escapes = 0

    def read() -> None:
        nonlocal escapes
        path = folder / "sub/note.txt"
        if path.resolve().is_relative_to(folder.resolve()):
            escapes += path.read_text() == "secret"

    tries = 0
    with swapping(folder):
        for _ in range(20):
            tries += attempt([read] * 20, SECONDS / 10).total()
            if escapes:
                break
    print(f"{escapes} escapes in {tries} tries")
    assert escapes
