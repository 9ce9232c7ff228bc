"""Print every row of the ledger with the tests that prove it.

A test proves a row by carrying `@pytest.mark.feature("ID")`. Without `--run` the tests are only
collected; with it they run and each row says whether its proof holds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass, field

import pytest

from workspace import ROOT

LEDGER = ROOT / "docs" / "reference" / "ledger.md"
ROW = re.compile(r"^\| (?P<id>[A-Z]+-\d+) \| (?P<feature>[^|]+) \|", re.MULTILINE)
MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped", "none": "no test", "": "-"}

USUAL = {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED}


@dataclass(slots=True)
class Row:
    """One feature, its proofs, and the worst outcome among them (empty: not run)."""

    id: str
    feature: str
    tests: list[str] = field(default_factory=list)
    status: str = ""


class Proofs:
    """A pytest plugin that notes which test proves which row, and how it ended."""

    def __init__(self) -> None:
        self.tests: dict[str, set[str]] = defaultdict(set)
        self.outcomes: dict[str, set[str]] = defaultdict(set)
        self.broken: list[str] = []

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        for marker in item.iter_markers("feature"):
            for name in marker.args:
                self.tests[str(name)].add(item.nodeid.partition("[")[0])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Under xdist the items live in other processes; the reports bring the marks home.
        if report.when == "call" or report.outcome != "passed":
            test = report.nodeid.partition("[")[0].partition("@")[0]
            self.outcomes[test].add(report.outcome)
            for kind, name in report.user_properties:
                if kind == "feature":
                    self.tests[str(name)].add(test)

    def status(self, test: str) -> str:
        """The worst outcome of *test* and its parametrisations; empty if it did not run."""
        found = self.outcomes[test]
        return next((one for one in ("failed", "skipped", "passed") if one in found), "")


def rows() -> list[Row]:
    """Read the ledger."""
    text = LEDGER.read_text(encoding="utf-8")
    return [Row(found["id"], found["feature"].strip()) for found in ROW.finditer(text)]


def gather(*, execute: bool) -> Proofs:
    """Collect the tests, or run them, with pytest's own output kept away."""
    proofs = Proofs()
    how = ["-n", "logical", "--dist", "loadfile"] if execute else ["--collect-only"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.chdir(ROOT):
        code = pytest.main(["-q", "-p", "no:cacheprovider", *how], plugins=[proofs])
    if proofs.broken or code not in USUAL:
        sys.exit(f"{printed.getvalue()}\nThe tests could not be collected.")
    return proofs


def prove(ledger: list[Row], proofs: Proofs) -> None:
    """Enter into each row its tests and the worst of their outcomes."""
    for row in ledger:
        row.tests = sorted(proofs.tests.get(row.id, ()))
        found = {proofs.status(test) for test in row.tests}
        order = ("failed", "skipped", "", "passed")
        row.status = next((one for one in order if one in found), "none")


def show(ledger: list[Row]) -> None:
    """Print the rows for people."""
    for row in ledger:
        print(f"{row.id:8} {MARKS[row.status]:8} {row.feature}")
        for test in row.tests:
            print(f"{'':17} {test}")
    without = [row.id for row in ledger if not row.tests]
    print(f"\n{len(ledger) - len(without)} of {len(ledger)} rows have tests.")
    if without:
        print(f"Without: {' '.join(without)}")


def main() -> None:
    """Print the ledger; fail if a test names an unknown row, or a proof fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", action="store_true", help="run the tests and show the outcomes")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    ledger = rows()
    proofs = gather(execute=options.run)
    prove(ledger, proofs)
    if options.json:
        print(json.dumps([asdict(row) for row in ledger], indent=2, ensure_ascii=False))
    else:
        show(ledger)
    if unknown := sorted(proofs.tests.keys() - {row.id for row in ledger}):
        sys.exit(f"Tests name rows that the ledger does not have: {', '.join(unknown)}")
    if any(row.status == "failed" for row in ledger):
        sys.exit(1)


if __name__ == "__main__":
    main()
