"""bubblewrap: a program in namespaces of its own (https://github.com/containers/bubblewrap).

It has its own processes, mounts, users and, unless granted, no network; it ends when the process
ends that started it, with all that it started, because its first process is the namespace's.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from loom.contracts import Command, Confinement

PROGRAM = "bwrap"
LIMITS = "prlimit"
"""Of util-linux: sets resource limits, then becomes the program."""
SYSTEM = ("/usr",)
LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64")
CONFIGURATION = (
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
    "/etc/localtime", "/etc/mime.types", "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/timezone",
)  # fmt: skip
NETWORK = ("/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/services")
STEERING = ("LD_", "GLIBC_", "GCONV_", "MALLOC_")
"""How the variables begin that the C library of any program obeys."""
TRIAL = 5.0
"""Seconds that finding out whether it works may take."""


class Bubblewrap:
    """The `Sandbox` by bubblewrap and prlimit."""

    mechanism = "bubblewrap"

    def __init__(self, program: str, limits: str) -> None:
        self._program = program
        self._limits = limits

    @classmethod
    def probe(cls) -> Bubblewrap | str:
        """One that works here, or why there is none. Blocks: it starts a process."""
        program, limits = shutil.which(PROGRAM), shutil.which(LIMITS)
        if program is None or limits is None:
            missing = PROGRAM if program is None else LIMITS
            return f"{missing} is not installed"
        found = cls(str(Path(program).absolute()), str(Path(limits).absolute()))
        trial = found.confine(Command(("/usr/bin/true",)), Confinement())
        try:
            done = subprocess.run(
                trial.argv, env={}, capture_output=True, timeout=TRIAL, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{PROGRAM} does not run: {error}"
        if done.returncode:
            return f"{PROGRAM} does not work: {done.stderr.decode(errors='replace').strip()}"
        return found

    def confine(self, command: Command, within: Confinement) -> Command:
        """*command* in namespaces where nothing else is to be seen.

        Its variables are handed on through the environment, where only their owner can read them;
        an argument could be read by everybody. Only those that would steer bubblewrap itself are
        arguments.
        """
        steering = {k: v for k, v in command.environment.items() if k.startswith(STEERING)}
        others = {k: v for k, v in command.environment.items() if k not in steering}
        argv = [
            self._program, "--unshare-all", *(("--share-net",) if within.network else ()),
            "--die-with-parent", "--new-session", "--cap-drop", "ALL",
            "--uid", "65534", "--gid", "65534", "--hostname", "sandbox",
            *_system(within.network),
            "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",  # noqa: S108  # of its own
            *_bound("--ro-bind", within.read), *_bound("--bind", within.write),
            "--chdir", command.cwd, *_set(steering.items()),
            "--", self._limits, *_limits(within), "--", *command.argv,
        ]  # fmt: skip
        return msgspec.structs.replace(
            command, argv=tuple(argv), cwd="/", environment=others, is_wrapped=True
        )

    def contain(self, command: Command) -> Command:
        """*command* as it is, in a process namespace that ends with us."""
        argv = (
            self._program, "--dev-bind", "/", "/", "--unshare-pid", "--proc", "/proc",
            "--die-with-parent", "--chdir", command.cwd, "--", *command.argv,
        )  # fmt: skip
        return msgspec.structs.replace(command, argv=argv, cwd="/", is_wrapped=True)


def _system(has_network: bool) -> Iterator[str]:
    """What every program may read."""
    yield from _bound("--ro-bind", SYSTEM)
    for link in map(Path, LINKS):
        if link.is_symlink():
            yield from ("--symlink", str(link.readlink()), str(link))
        elif link.exists():
            yield from ("--ro-bind", str(link), str(link))
    yield from _bound("--ro-bind-try", (*CONFIGURATION, *(NETWORK if has_network else ())))


def _bound(option: str, paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        yield from (option, path, path)


def _set(variables: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, value in variables:
        yield from ("--setenv", name, value)


def _limits(within: Confinement) -> Iterator[str]:
    yield from (f"--nofile={within.files}", f"--nproc={within.processes}", "--core=0")
    yield f"--fsize={within.file_size}"
    if within.memory:
        yield f"--as={within.memory}"
    if within.seconds:
        yield f"--cpu={within.seconds}:{within.seconds + 1}"
