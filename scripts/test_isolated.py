"""Test each distribution alone: a fresh environment with only what it declares.

Every member is built once into a wheel, and the members that a distribution needs are installed
by the path of their wheels. Unrelated projects hold two of our names on the public index, so a
requirement on one of them must never reach it: whatever looks like ours and is not a member is
refused, and every installed member is asked afterwards where it came from.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import Distribution as Installed
from importlib.metadata import distributions as installed_in
from pathlib import Path

from workspace import ROOT, Distribution, closure, distributions, read_project, requirement_name

UV = Path(sys.executable).with_name("uv")
OURS = "loom-"
NO_TESTS = 5  # pytest's exit code for "nothing was collected"


def run(*command: str | Path, cwd: Path) -> None:
    """Run *command* and stop everything if it fails."""
    done = subprocess.run(command, cwd=cwd, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command[:4]))} ... failed with {done.returncode}")


def needed_members(member: Distribution, members: dict[str, Distribution]) -> set[str]:
    """Return the members *member* and its tests need, itself included.

    Raises:
        SystemExit: a requirement bears our prefix but is no member, so an index would be asked.
    """
    needed = closure({member.name}, members)
    asked = {requirement_name(one) for one in member.test_requirements}
    for name in needed:
        asked |= {requirement_name(one) for one in members[name].requirements}
    ours = {name for name in asked if name.startswith(OURS)}
    if strangers := sorted(ours - members.keys()):
        sys.exit(f"{member.name} needs {', '.join(strangers)}, which the workspace does not hold")
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
    """Make the environment of *member* and return it."""
    wheels, environment = folder / "wheels", folder / member.name
    run(UV, "venv", "--quiet", "--python", sys.executable, environment, cwd=folder)
    outside = [
        one for one in member.test_requirements if not requirement_name(one).startswith(OURS)
    ]
    paths = [wheel_of(name, wheels) for name in sorted(needed_members(member, members))]
    run(
        UV, "pip", "install", "--quiet", "--no-config", "--python", environment,
        "--constraints", folder / "constraints.txt", *paths, *outside, cwd=folder,
    )  # fmt: skip
    run(UV, "pip", "check", "--quiet", "--no-config", "--python", environment, cwd=folder)
    packages = [str(path) for path in environment.glob("lib/*/site-packages")]
    for found in installed_in(path=packages):
        if found.name.startswith(OURS) and not came_from_wheel(found, wheels):
            sys.exit(f"{found.name} {found.version} did not come from this repository")
    return environment


def test(member: Distribution, members: dict[str, Distribution], folder: Path) -> bool:
    """Run the tests of *member* in its own environment; return whether they passed."""
    began = time.monotonic()
    print(f"== {member.name}", flush=True)
    environment = prepare(member, members, folder)
    pytest = environment / "bin" / "pytest"
    command = [str(pytest), "-q", "-p", "no:cacheprovider", str(member.folder / "tests")]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = os.pathsep.join([str(environment / "bin"), os.environ["PATH"]])
    done = subprocess.run(command, cwd=ROOT, env=variables | {"PATH": path}, check=False)
    if done.returncode == NO_TESTS:
        print(f"{member.name} has no tests")
    print(f"   {time.monotonic() - began:.1f} s", flush=True)
    return done.returncode == 0


def main() -> None:
    """Test the named distributions, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    members = distributions()
    parser.add_argument("names", nargs="*", metavar="NAME", help="distributions; all if none")
    names = parser.parse_args().names or list(members)
    if unknown := sorted(set(names) - members.keys()):
        parser.error(f"no such distribution: {', '.join(unknown)}; there are {', '.join(members)}")
    with tempfile.TemporaryDirectory(prefix="loom-isolated-") as place:
        folder = Path(place).resolve()
        pins = read_project(ROOT)["tool"]["uv"]["constraint-dependencies"]
        (folder / "constraints.txt").write_text("\n".join(pins), encoding="utf-8")
        wheels = folder / "wheels"
        run(UV, "build", "--quiet", "--all-packages", "--wheel", "--out-dir", wheels, cwd=ROOT)
        failed = [name for name in names if not test(members[name], members, folder)]
    if failed:
        sys.exit(f"{len(failed)} of {len(names)} distributions failed: {', '.join(failed)}")
    print(f"{len(names)} distributions passed, each alone")


if __name__ == "__main__":
    main()
