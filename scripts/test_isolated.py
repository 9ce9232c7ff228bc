"""Test each distribution alone: a fresh environment with only what it declares.

Every member is built once into a wheel, and the members that a distribution needs are installed
by the path of their wheels. Unrelated projects hold two of our names on the public index, so a
requirement on one of them must never reach it: whatever looks like ours and is not a member is
refused, and every installed member is asked afterwards where it came from.

`make test` runs every test; this proves that a distribution works with what it declares, for
which the first case of each corpus is enough.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import Distribution as Installed
from importlib.metadata import distributions as installed_in
from pathlib import Path

from workspace import ROOT, Distribution, closure, distributions, read_project, requirement_name

UV = Path(sys.executable).with_name("uv")
OURS = "loom-"
NO_TESTS = 5  # pytest's exit code for "nothing was collected"


class Failed(Exception):
    """A distribution cannot be prepared, for this reason."""


def run(*command: str | Path, cwd: Path) -> None:
    """Run *command*.

    Raises:
        Failed: it did not succeed.
    """
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    if done.returncode:
        said = " ".join(map(str, command[:4]))
        raise Failed(f"{said} ... failed with {done.returncode}\n{done.stdout}{done.stderr}")


def needed_members(member: Distribution, members: dict[str, Distribution]) -> set[str]:
    """Return the members *member* and its tests need, itself included.

    Raises:
        Failed: a requirement bears our prefix but is no member, so an index would be asked.
    """
    needed = closure({member.name}, members)
    asked = {requirement_name(one) for one in member.test_requirements}
    for name in needed:
        asked |= {requirement_name(one) for one in members[name].requirements}
    ours = {name for name in asked if name.startswith(OURS)}
    if strangers := sorted(ours - members.keys()):
        raise Failed(f"it needs {', '.join(strangers)}, which the workspace does not hold")
    return closure(needed | ours, members)


def wheel_of(name: str, wheels: Path) -> Path:
    """Return the one wheel built for the member *name*."""
    (wheel,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
    return wheel


def came_from_wheel(found: Installed, wheels: Path) -> bool:
    """Whether an installed distribution is the one that was built here."""
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    return str(origin.get("url", "")).startswith(wheels.as_uri())


def prepare(member: Distribution, members: dict[str, Distribution], folder: Path) -> Path:
    """Make the environment of *member* and return it.

    It is compiled at once: programs that are confined cannot keep what they compile.
    """
    wheels, environment = folder / "wheels", folder / member.name
    run(UV, "venv", "--quiet", "--python", sys.executable, environment, cwd=folder)
    outside = [
        one for one in member.test_requirements if not requirement_name(one).startswith(OURS)
    ]
    paths = [wheel_of(name, wheels) for name in sorted(needed_members(member, members))]
    run(
        UV, "pip", "install", "--quiet", "--no-config", "--compile-bytecode",
        "--python", environment, "--constraints", folder / "constraints.txt", *paths, *outside,
        cwd=folder,
    )  # fmt: skip
    run(UV, "pip", "check", "--quiet", "--no-config", "--python", environment, cwd=folder)
    packages = [str(path) for path in environment.glob("lib/*/site-packages")]
    for found in installed_in(path=packages):
        if found.name.startswith(OURS) and not came_from_wheel(found, wheels):
            raise Failed(f"{found.name} {found.version} did not come from this repository")
    return environment


def run_tests(member: Distribution, environment: Path) -> str:
    """Run the tests of *member* in *environment*; what pytest said.

    Raises:
        Failed: they did not pass, or there are none.
    """
    command = [
        str(environment / "bin" / "pytest"), "-q", "-p", "no:cacheprovider", "--corpora=first",
        str(member.folder / "tests"),
    ]  # fmt: skip
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables["PATH"] = os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=ROOT, env=variables, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode == NO_TESTS:
        raise Failed(f"it has no tests\n{done.stdout}")
    if done.returncode:
        raise Failed(done.stdout)
    return done.stdout.strip().rpartition("\n")[2]


def test(name: str, members: dict[str, Distribution], folder: Path) -> bool:
    """Test the distribution *name* in an environment of its own; whether it passed."""
    began = time.monotonic()
    try:
        environment = prepare(members[name], members, folder)
        said, passed = run_tests(members[name], environment), True
    except Failed as failed:
        said, passed = str(failed), False
    print(f"== {name}, {time.monotonic() - began:.1f} s: {said}", flush=True)
    return passed


def by_size(members: dict[str, Distribution], names: Iterable[str]) -> list[str]:
    """*names* from the one with most tests to the one with the least: no long one comes last."""
    return sorted(names, key=lambda name: -_size(members[name].folder / "tests"))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("test_*.py"))


def main() -> None:
    """Test the named distributions, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    members = distributions()
    parser.add_argument("names", nargs="*", metavar="NAME", help="distributions; all if none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at once")
    arguments = parser.parse_args()
    names = arguments.names or list(members)
    if unknown := sorted(set(names) - members.keys()):
        parser.error(f"no such distribution: {', '.join(unknown)}; there are {', '.join(members)}")
    with tempfile.TemporaryDirectory(prefix="loom-isolated-") as place:
        folder = Path(place).resolve()
        pins = read_project(ROOT)["tool"]["uv"]["constraint-dependencies"]
        (folder / "constraints.txt").write_text("\n".join(pins), encoding="utf-8")
        wheels = folder / "wheels"
        try:
            run(UV, "build", "--quiet", "--all-packages", "--wheel", "--out-dir", wheels, cwd=ROOT)
        except Failed as error:
            sys.exit(str(error))
        ordered = by_size(members, names)
        with ThreadPoolExecutor(arguments.jobs) as pool:
            passed = list(pool.map(lambda name: test(name, members, folder), ordered))
        failed = [name for name, is_well in zip(ordered, passed, strict=True) if not is_well]
    if failed:
        sys.exit(f"{len(failed)} of {len(names)} distributions failed: {', '.join(failed)}")
    print(f"{len(names)} distributions passed, each alone")


if __name__ == "__main__":
    main()
