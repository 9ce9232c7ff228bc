"""bubblewrap: a program in namespaces of its own (https://github.com/containers/bubblewrap).

It has its own processes, mounts, users and, unless granted, no network; it ends when the process
ends that started it, with all that it started, because its first process is the namespace's. A
filter keeps it from system calls that no namespace confines.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
from loom.contracts import Command, Confinement

from loom_plugin_sandbox.census import UNLIMITED, find_cgroup, is_root
from loom_plugin_sandbox.filters import make_filter
from loom_plugin_sandbox.launching import launcher, readable
from loom_plugin_sandbox.variables import SHELL_SETS, split

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
TRIAL = 5.0
"""Seconds that finding out whether it works may take."""
OWN_PROCESSES = 3
"""How many of the processes that a control group counts are bubblewrap's."""
READ_ONLY = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/mtrr")
"""Where the kernel takes orders from root, which is who a program is if Loom runs as root."""
HIDDEN = (
    "/proc/kallsyms", "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kmsg",
    "/proc/kpagecgroup", "/proc/kpagecount", "/proc/kpageflags", "/proc/latency_stats",
    "/proc/pagetypeinfo",
    "/proc/sched_debug", "/proc/slabinfo", "/proc/timer_list", "/proc/vmallocinfo",
)  # fmt: skip


class Bubblewrap:
    """The `Sandbox` by bubblewrap and prlimit."""

    mechanism = "bubblewrap"

    strength = 2

    def __init__(self, program: str, limits: str) -> None:
        self._program = program
        self._limits = limits
        code = make_filter()
        self._filter = readable(code) if code else ""
        self._system = {online: tuple(_system(online)) for online in (False, True)}
        self._processes = tuple(_processes())
        self._is_root = is_root()
        self._cgroup = find_cgroup() if self._is_root else ""

    @property
    def cautions(self) -> tuple[str, ...]:
        """What it cannot do here."""
        unlimited = (UNLIMITED,) if self._is_root and not self._cgroup else ()
        unfiltered = () if self._filter else ("system calls are not filtered on this processor",)
        return unlimited + unfiltered

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
        """*command* in namespaces where nothing else is to be seen."""
        inside, outside = split(command.environment)
        argv = [
            *launcher(self._cgroup, within.processes + OWN_PROCESSES, self._filter),
            self._program, "--unshare-all", *(("--share-net",) if within.network else ()),
            "--die-with-parent", "--new-session", "--cap-drop", "ALL",
            "--uid", "65534", "--gid", "65534", "--hostname", "sandbox",
            *self._system[within.network], *self._processes, *_scratch(within.temporary),
            *_bound("--ro-bind", within.read), *_bound("--bind", within.write),
            "--remount-ro", "/",
            "--chdir", command.cwd, *_set(inside),
            "--", self._limits, *_limits(within), "--", *command.argv,
        ]  # fmt: skip
        return msgspec.structs.replace(
            command, argv=tuple(argv), cwd="/", environment=outside, is_wrapped=True
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


def _processes() -> Iterator[str]:
    yield from ("--proc", "/proc", *_bound("--ro-bind-try", READ_ONLY))
    for path in HIDDEN:
        if Path(path).exists():
            yield from ("--ro-bind", "/dev/null", path)


def _scratch(size: int) -> Iterator[str]:
    """Devices, and two folders of its own; what it puts there is memory, so it is bounded."""
    yield from ("--dev", "/dev", "--size", str(size), "--tmpfs", "/dev/shm")  # noqa: S108
    yield from ("--remount-ro", "/dev", "--size", str(size), "--tmpfs", "/tmp")  # noqa: S108


def _set(inside: Mapping[str, str]) -> Iterator[str]:
    for name in SHELL_SETS:
        if name != "PWD":  # --chdir has set it
            yield from ("--unsetenv", name)
    for name, value in inside.items():
        yield from ("--setenv", name, value)


def _limits(within: Confinement) -> Iterator[str]:
    yield from (f"--nofile={within.files}", f"--nproc={within.processes}", "--core=0")
    yield f"--fsize={within.file_size}"
    if within.memory:
        yield f"--as={within.memory}"
    if within.seconds:
        yield f"--cpu={within.seconds}:{within.seconds + 1}"
