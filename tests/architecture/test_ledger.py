"""The ledger's own tool: it finds proofs, and refuses a test that names no row."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workspace import ROOT


def ledger(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tool of the repository at *root*."""
    script = root / "scripts" / "ledger.py"
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)


def test_every_marked_test_names_a_row() -> None:
    """Collecting the whole repository succeeds only if every marker names a row that exists."""
    done = ledger(ROOT, "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["id"]: row for row in json.loads(done.stdout)}
    assert len(rows) > 100
    assert rows["BUS-01"]["feature"] == "Async publish/subscribe by topic"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A tiny repository with a ledger of three rows and tests for two of them."""
    (tmp_path / "scripts").mkdir()
    for name in ("ledger.py", "workspace.py"):
        (tmp_path / "scripts" / name).write_text((ROOT / "scripts" / name).read_text())
    for name in ("conftest.py", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    pages = tmp_path / "docs" / "reference"
    pages.mkdir(parents=True)
    rows = "".join(f"| X-0{n} | Row {n} | - |\n" for n in (1, 2, 3))
    (pages / "ledger.md").write_text(f"| Id | Feature | Criterion |\n|---|---|---|\n{rows}")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_rows.py").write_text(
        "import pytest\n"
        "@pytest.mark.feature('X-01')\n@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_good(n): assert n\n"
        "@pytest.mark.feature('X-01', 'X-02')\ndef test_bad(): assert False\n"
    )
    return tmp_path


def test_rows_say_what_proves_them_and_whether_it_holds(copy: Path) -> None:
    done = ledger(copy, "--run", "--json")
    assert done.returncode == 1, done.stderr
    assert [(row["id"], row["status"], len(row["tests"])) for row in json.loads(done.stdout)] == [
        ("X-01", "failed", 2),
        ("X-02", "failed", 1),
        ("X-03", "none", 0),
    ]


def test_rows_without_tests_are_named(copy: Path) -> None:
    done = ledger(copy)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 rows have tests." in done.stdout
    assert "Without: X-03" in done.stdout


def test_an_unknown_row_is_refused(copy: Path) -> None:
    rows = copy / "tests" / "test_rows.py"
    rows.write_text(rows.read_text().replace("'X-02'", "'X-99'"))
    done = ledger(copy)
    assert done.returncode == 1
    assert "X-99" in done.stderr
