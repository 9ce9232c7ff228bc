"""Run as a program of its own, before a confined one: what has to be done from the inside.

launcher.py CGROUP PROCESSES FILTER PROGRAM ARGUMENT…

It joins a group of at most PROCESSES processes below CGROUP, if that is not empty; makes the
bytes that FILTER is the hexadecimal form of, if it is not empty, readable on a descriptor whose
number replaces the first argument `{filter}`; and becomes PROGRAM. It imports nothing that costs:
it is on the way of every program.
"""

from __future__ import annotations

import os
import sys

PREFIX = "loom-"
ATTEMPTS = 16
HOLE = "{filter}"


def main(cgroup: str, processes: str, filter_: str, *argv: str) -> None:
    """Prepare this process and become *argv*."""
    if cgroup:
        join(cgroup, processes)
    command = list(argv)
    if filter_:  # the first one: what comes later is the program's own
        command[command.index(HOLE)] = str(readable(bytes.fromhex(filter_)))
    os.execv(command[0], command)  # noqa: S606  # there is no shell to do without


def join(cgroup: str, processes: str) -> None:
    """Be the first in a new group below *cgroup*, and clear away those whose processes ended."""
    for name in os.listdir(cgroup):  # noqa: PTH208
        if name.startswith(PREFIX):
            remove_empty(f"{cgroup}/{name}")
    for _ in range(ATTEMPTS):
        group = f"{cgroup}/{PREFIX}{os.urandom(8).hex()}"
        try:
            os.mkdir(group, 0o700)  # noqa: PTH102
            write(f"{group}/pids.max", processes)
            write(f"{group}/cgroup.procs", "0")
        except FileNotFoundError:
            continue  # another launcher found it empty
        return
    sys.exit("the number of processes cannot be limited: the control group vanished each time")


def remove_empty(group: str) -> None:
    try:
        os.rmdir(group)  # noqa: PTH106
    except OSError:
        return  # processes live in it, or another launcher was faster


def write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def readable(content: bytes) -> int:
    descriptor = os.memfd_create("filter", 0)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


if __name__ == "__main__":
    main(*sys.argv[1:])
