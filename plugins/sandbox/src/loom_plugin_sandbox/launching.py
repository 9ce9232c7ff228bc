"""The program that starts before a confined one (`launcher.sh`), and the file of the filter."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

SHELL = "/bin/sh"
SCRIPT = str(Path(__file__).with_name("launcher.sh"))


def launcher(cgroup: str, processes: int, filter_: str) -> tuple[str, ...]:
    """Words before a program: what is empty is left out, and with all of it the launcher.

    *filter_* is a file; the program is told of it by its first arguments, `--seccomp N`.
    """
    if not cgroup and not filter_:
        return ()
    return (SHELL, SCRIPT, cgroup, str(processes), filter_)


@cache
def readable(content: bytes) -> str:
    """A file with *content* that is there while this process is, for what it starts to open."""
    descriptor = os.memfd_create("filter")
    os.write(descriptor, content)
    return f"/proc/{os.getpid()}/fd/{descriptor}"
