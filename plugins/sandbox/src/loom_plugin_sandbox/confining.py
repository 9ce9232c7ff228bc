"""Run as a program of its own: restricts itself by Landlock and becomes the program to confine.

confining.py --parent=PID [--free] --filter=HEX --limit=NAME:SOFT[:HARD] --read=PATH … -- PROGRAM …

Every step is checked: where one fails, the program is not started. `--free` restricts nothing,
but lets the program end with the process PID.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys

OLDEST = 6
"""The first version of Landlock that keeps signals and abstract sockets in (Linux 6.12)."""
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_PATH_BENEATH = 1
_DEATH_SIGNAL, _NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 1, 38, 22, 2
_DROP_CAPABILITY, _CAPABILITIES = 24, 64
_ALL = (1 << 16) - 1
_TCP, _SCOPES = 0b11, 0b11
_READ = 0b1101  # run, read files, read folders
_DEVICE = 0b1000000000000110  # read, write, control
_WRITE = _ALL & ~(1 << 6 | 1 << 11)  # all but making devices
_ACCESS = {"read": _READ, "write": _WRITE, "device": _DEVICE}
_OF_FILES = 0b1100000000000111  # what means something for what is no folder


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def main(words: list[str]) -> None:
    """Restrict this process as *words* say and become the program that they name."""
    end = words.index("--")
    options = [tuple(word[2:].partition("=")[::2]) for word in words[:end]]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    die_with(libc, int(first(options, "parent")))
    if ("free", "") not in options:
        restrict(libc, options)
    for name, value in options:  # the launcher's shell, or this interpreter, may have set it
        if name == "unset":
            os.environ.pop(value, None)
    os.environ.update(value.partition("=")[::2] for name, value in options if name == "set")
    os.execv(words[end + 1], words[end + 1 :])  # noqa: S606


def first(options: list[tuple[str, ...]], name: str) -> str:
    return next(value for known, value in options if known == name)


def die_with(libc: ctypes.CDLL, parent: int) -> None:
    check(libc.prctl(_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0), "prctl")
    if os.getppid() != parent:
        sys.exit("the process that wanted this program has ended")


def restrict(libc: ctypes.CDLL, options: list[tuple[str, ...]]) -> None:
    ruleset = make_ruleset(libc, has_network=("online", "") in options)
    for name, value in options:
        match name:
            case "read" | "write" | "device":
                grant(libc, ruleset, value, _ACCESS[name])
            case "limit":
                limit(*value.split(":"))
            case "processes":
                own = count_own() + int(value)
                limit("RLIMIT_NPROC", str(own))
    for number in range(_CAPABILITIES):  # only root has some to lose
        libc.prctl(_DROP_CAPABILITY, number, 0, 0, 0)
    check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "prctl")
    check(libc.syscall(_RESTRICT, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)
    code = bytes.fromhex(first(options, "filter"))
    program = _Filter(len(code) // 8, code)
    check(libc.prctl(_SECCOMP, _FILTER, ctypes.byref(program), 0, 0), "seccomp")


def make_ruleset(libc: ctypes.CDLL, *, has_network: bool) -> int:
    version = libc.syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    if version < OLDEST:
        sys.exit(f"this kernel has version {max(version, 0)} of Landlock; {OLDEST} is needed")
    handled = struct.pack("=QQQ", _ALL, 0 if has_network else _TCP, _SCOPES)
    ruleset = libc.syscall(_CREATE, handled, ctypes.c_size_t(len(handled)), 0)
    check(ruleset, "landlock_create_ruleset")
    return int(ruleset)


def grant(libc: ctypes.CDLL, ruleset: int, path: str, access: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = os.path.isdir(path)  # noqa: PTH112
        allowed = access if is_folder else access & _OF_FILES
        rule = struct.pack("=Qi", allowed, descriptor)
        check(libc.syscall(_ADD, ruleset, _PATH_BENEATH, rule, 0), f"landlock_add_rule {path}")
    finally:
        os.close(descriptor)


def limit(name: str, soft: str, hard: str = "") -> None:
    kind: int = getattr(resource, name)
    resource.setrlimit(kind, (int(soft), int(hard or soft)))


def count_own() -> int:
    """How many threads this user has: the limit counts them all."""
    found = 0
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                if os.stat(f"/proc/{name}").st_uid == os.getuid():  # noqa: PTH116
                    found += len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208
            except OSError:
                continue
    return found


def check(result: int, what: str) -> None:
    if result < 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(sys.argv[1:])
