"""Keep the pins in the root pyproject.toml complete and current.

A uv lock file records addresses of an index, so it is not tracked. What is tracked is the list
of exact versions it resolved to (`constraint-dependencies`), so every checkout gets the same set.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
UV = Path(sys.executable).with_name("uv")
BLOCK = re.compile(r"(?<=constraint-dependencies = \[\n)(?:    .*\n)*(?=\])")


def run_uv(*arguments: str) -> str:
    """Run uv in the workspace and return what it printed."""
    done = subprocess.run([UV, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def resolve(*, upgrade: bool) -> str:
    """Resolve the whole workspace; return the pins as lines of a TOML list."""
    run_uv("lock", "--quiet", *(["--upgrade"] if upgrade else []))
    exported = run_uv(
        "export", "--quiet", "--frozen", "--all-packages", "--all-groups", "--no-emit-workspace",
        "--no-hashes", "--no-header", "--no-annotate",
    )  # fmt: skip
    return "".join(f'    "{pin}",\n' for pin in sorted(exported.replace('"', "'").splitlines()))


def write(pins: str) -> None:
    """Replace the tracked pins by *pins*."""
    text, found = BLOCK.subn(lambda _: pins, PROJECT.read_text(encoding="utf-8"))
    if found != 1:
        sys.exit(f"{PROJECT.name} needs exactly one constraint-dependencies list, found {found}")
    PROJECT.write_text(text, encoding="utf-8")


def main() -> None:
    """Check, complete or upgrade the pins."""
    parser = argparse.ArgumentParser(description=__doc__)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="fail if a pin is missing or stale")
    mode.add_argument("--upgrade", action="store_true", help="take the newest versions allowed")
    options = parser.parse_args()
    if options.upgrade:
        write("")
    pins = resolve(upgrade=options.upgrade)
    if not options.check:
        write(pins)
    elif pins not in PROJECT.read_text(encoding="utf-8"):
        sys.exit("The pins in pyproject.toml do not match what resolves now: run `make pins`.")


if __name__ == "__main__":
    main()
