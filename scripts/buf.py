"""Hold the .proto files to buf's rules: format, STANDARD lint, and no change that breaks a client.

What counts as before is, in this order: the commit that --against names; where the branch left
main; on main itself the commit before, or HEAD while there are changes that are not committed. Its
files are taken out of git by themselves, so a shallow checkout will do as long as it holds that
commit. A checkout without an earlier commit (the first one, or a clone of depth 1) has nothing to
compare with: that is said, with what would help, and nothing fails; the golden vectors, which are
in every checkout, still hold the bytes.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sys.executable).with_name("buf")
RULES = "buf.yaml"


class NothingBefore(Exception):
    """There is no earlier commit to compare with."""


def git(root: Path, *arguments: str) -> bytes | None:
    """What git prints in *root*; None if it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, check=False, capture_output=True)
    return done.stdout if done.returncode == 0 else None


def commit(root: Path, *names: str) -> str:
    """The first of *names* that is a commit here; empty if none is."""
    for name in names:
        if found := git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"):
            return found.decode().strip()
    return ""


def find_before(root: Path) -> str:
    """The commit to compare with.

    Raises:
        NothingBefore: there is none.
    """
    head = commit(root, "HEAD")
    upstream = commit(root, "origin/main", "main")
    left = git(root, "merge-base", head, upstream) if head and upstream else None
    if left and (before := left.decode().strip()) != head:
        return before
    if head and git(root, "status", "--porcelain", "--", "proto/loom"):
        return head
    if before := commit(root, "HEAD^"):
        return before
    if git(root, "rev-parse", "--is-shallow-repository") == b"true\n":
        raise NothingBefore("this checkout holds one commit only; fetch with a depth of 2")
    raise NothingBefore("no commit came before" if head else "this is not a git checkout")


def take_out(root: Path, before: str, folder: Path) -> bool:
    """Put the .proto files of *before* below *folder*; False if it had none."""
    packed = git(root, "archive", "--format=zip", before, "proto/loom")
    if packed is None:
        return False
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)
    shutil.copyfile(root / "proto" / RULES, folder / "proto" / RULES)
    return True


def run(root: Path, *arguments: str) -> bool:
    """Whether buf is content with the .proto files of *root*; it prints what it is not."""
    return subprocess.run([BUF, *arguments], cwd=root / "proto", check=False).returncode == 0


def breaks_nothing(root: Path, before: str) -> bool:
    """Whether all that was right by the .proto files of *before* is right still."""
    with tempfile.TemporaryDirectory() as folder:
        if not take_out(root, before, Path(folder)):
            print(f"buf: {before[:12]} has no .proto files: nothing can break")
            return True
        return run(root, "breaking", "--against", f"{folder}/proto")


def check(root: Path, against: str = "") -> bool:
    """Whether the .proto files of *root* keep all the rules."""
    content = run(root, "format", "--diff", "--exit-code") and run(root, "lint")
    try:
        before = against or find_before(root)
    except NothingBefore as nothing:
        print(f"buf: breaking changes were not looked for: {nothing}")
        return content
    return breaks_nothing(root, before) and content


def main() -> None:
    """Check; the exit code is 1 if a rule is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", default="", help="what counts as before")
    sys.exit(not check(ROOT, parser.parse_args().against))


if __name__ == "__main__":
    main()
