"""`loom doctor`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import msgspec
from loom_kernel import find_paths

from loom_plugin_doctor.checks import Finding, examine

MARKS = {"ok": "✓", "warning": "!", "error": "✗"}


@click.command()
@click.argument(
    "folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
def doctor(folder: Path | None, as_json: bool) -> None:
    """Check what works here and why not; exit code 1 if something is in the way.

    \b
    loom doctor
    loom doctor my-app
    """
    here = Path("loom.toml").is_file()
    findings = examine(find_paths(folder or (Path() if here else None)))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(findings)))
    else:
        for finding in findings:
            click.echo(_line(finding))
    sys.exit(any(finding.verdict == "error" for finding in findings))


def _line(finding: Finding) -> str:
    remedy = f" → {finding.remedy}" if finding.remedy else ""
    return f"{MARKS[finding.verdict]} {finding.check:<14} {finding.message}{remedy}"
