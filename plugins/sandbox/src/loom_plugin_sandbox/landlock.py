"""Landlock: a program that can open no other file (https://docs.kernel.org/userspace-api/landlock.html).

It is weaker than namespaces. The program sees names and sizes of files that it cannot open, has
no folder for temporary files and no `/proc`, and what it has started lives on if this process is
killed outright. Its own system calls cut the network: it can make no socket at all.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import msgspec
from loom.contracts import Command, Confinement

from loom_plugin_sandbox import confining
from loom_plugin_sandbox.bubblewrap import CONFIGURATION, LINKS, NETWORK, SYSTEM, TRIAL
from loom_plugin_sandbox.census import UNLIMITED, find_cgroup, is_root
from loom_plugin_sandbox.filters import FAMILIES, make_filter
from loom_plugin_sandbox.launching import launcher
from loom_plugin_sandbox.variables import SHELL_SETS, split

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
WEAKER = (
    "Landlock is weaker than bubblewrap: names and sizes of files can be seen, and processes that "
    "a program started may outlive a Loom that is killed; install bubblewrap"
)


class Landlock:
    """The `Sandbox` by Landlock, a filter of system calls and resource limits."""

    mechanism = "landlock"
    strength = 1

    def __init__(self) -> None:
        self._alone = make_filter((), is_alone=False).hex()
        self._online = make_filter(FAMILIES, is_alone=False).hex()
        self._is_root = is_root()
        self._cgroup = find_cgroup() if self._is_root else ""

    @property
    def cautions(self) -> tuple[str, ...]:
        """What it cannot do here."""
        return (WEAKER, *((UNLIMITED,) if self._is_root and not self._cgroup else ()))

    @classmethod
    def probe(cls) -> Landlock | str:
        """One that works here, or why there is none. Blocks: it starts a process."""
        if not make_filter():
            return "landlock: the system calls of this processor are not known"
        found = cls()
        trial = found.confine(Command(("/usr/bin/true",)), Confinement())
        try:
            done = subprocess.run(
                trial.argv, env={}, capture_output=True, timeout=TRIAL, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"landlock does not run: {error}"
        if done.returncode:
            return f"landlock does not work: {done.stderr.decode(errors='replace').strip()}"
        return found

    def confine(self, command: Command, within: Confinement) -> Command:
        """*command* where it can open only what *within* grants."""
        return _started(
            command,
            *launcher(self._cgroup, within.processes, ""),
            options=(
                f"--filter={self._filter(within)}", *(("--online",) if within.network else ()),
                *_limits(within, self._is_root), *_granted(within),
            ),
        )  # fmt: skip

    def contain(self, command: Command) -> Command:
        """*command* as it is, but ending when this process does."""
        return _started(command, options=("--free",))

    def _filter(self, within: Confinement) -> str:
        return self._online if within.network else self._alone


def _started(command: Command, *launcher: str, options: tuple[str, ...]) -> Command:
    inside, outside = split(command.environment)
    argv = (
        *launcher, sys.executable, "-I", "-S", confining.__file__, f"--parent={os.getpid()}",
        *(f"--unset={name}" for name in (*SHELL_SETS, "LC_CTYPE") if name not in outside),
        *(f"--set={name}={value}" for name, value in inside.items()),
        *options, "--", *command.argv,
    )  # fmt: skip
    return msgspec.structs.replace(command, argv=argv, environment=outside)


def _granted(within: Confinement) -> Iterator[str]:
    for path in (*SYSTEM, *LINKS, *CONFIGURATION, *(NETWORK if within.network else ())):
        if os.path.exists(path):  # noqa: PTH110
            yield f"--read={path}"
    yield from (f"--read={path}" for path in within.read)
    yield from (f"--device={path}" for path in DEVICES)
    yield from (f"--write={path}" for path in within.write)


def _limits(within: Confinement, is_root: bool) -> Iterator[str]:
    yield f"--limit=RLIMIT_NOFILE:{within.files}"
    yield f"--limit=RLIMIT_FSIZE:{within.file_size}"
    yield "--limit=RLIMIT_CORE:0"
    if not is_root:
        yield f"--processes={within.processes}"
    if within.memory:
        yield f"--limit=RLIMIT_AS:{within.memory}"
    if within.seconds:
        yield f"--limit=RLIMIT_CPU:{within.seconds}:{within.seconds + 1}"
