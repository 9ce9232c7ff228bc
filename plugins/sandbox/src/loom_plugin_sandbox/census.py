"""How many processes a program may start, also where the usual limit does not hold.

RLIMIT_NPROC is not enforced for root (the kernel exempts its user, whatever it is called inside a
namespace). There a control group counts, if this process may make one.
"""

from __future__ import annotations

import os
from pathlib import Path

MOUNTS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))
UNLIMITED = "the number of processes is not limited, because Loom runs as root; use another user"


def is_root() -> bool:
    """Whether this process belongs to the machine's own root, whom process limits exempt."""
    if os.geteuid() != 0:
        return False
    try:
        mapped = Path("/proc/self/uid_map").read_text("ascii").split()
    except OSError:
        return True
    return mapped[:2] == ["0", "0"]


def find_cgroup() -> str:
    """A folder in which groups that count processes can be made; empty if there is none."""
    for mount in MOUNTS:
        if _makes_groups(mount):
            return str(mount)
    return ""


def _makes_groups(mount: Path) -> bool:
    trial = mount / f"loom-probe-{os.urandom(4).hex()}"
    try:
        trial.mkdir(mode=0o700)
    except OSError:
        return False
    try:
        return (trial / "pids.max").is_file() and (trial / "cgroup.procs").is_file()
    finally:
        trial.rmdir()
