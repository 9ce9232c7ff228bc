"""What Loom can do on this machine. Each check looks at the real thing; none changes anything."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from loom_kernel import (
    LoomError,
    Paths,
    Runtime,
    chosen_plugins,
    installed,
    load_profiled_config,
)

Verdict = Literal["ok", "warning", "error"]
SOCKET_PATH_LIMIT = 107
ENOUGH_WATCHES = 8192
OPENAT2 = 437


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at: what it is, how it is, and what to do about it."""

    check: str
    verdict: Verdict
    message: str
    remedy: str = ""


Check = Callable[[Paths], Iterator[Finding]]


def examine(paths: Paths) -> list[Finding]:
    """Run every check, in the order in which one would mend things."""
    return [finding for check in CHECKS for finding in check(paths)]


def _python(paths: Paths) -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("python", "ok", f"{platform.python_implementation()} {version}")
    system = platform.system()
    if system == "Linux":
        yield Finding("platform", "ok", f"{system} {platform.release()}")
    else:
        remedy = "expect fallbacks: see the explanation of platforms in the docs"
        yield Finding("platform", "warning", f"{system}: promises are tested on Linux only", remedy)


def _state(paths: Paths) -> Iterator[Finding]:
    where = paths.state
    if not where.exists():
        yield Finding("state", "ok", f"{where} will be made when Loom first starts")
        return
    found = where.stat()
    if found.st_uid != os.getuid():
        yield Finding("state", "error", f"{where} belongs to user {found.st_uid}", "use --state")
    elif stat.S_IMODE(found.st_mode) & 0o077:
        remedy = f"chmod 700 {where}"
        yield Finding("state", "warning", f"others may look into {where}", remedy)
    else:
        yield Finding("state", "ok", f"{where} is private")
    free = shutil.disk_usage(where).free >> 20
    if free < 100:
        yield Finding("disk", "error", f"{free} MiB left under {where}", "make room")
    else:
        yield Finding("disk", "ok", f"{free} MiB left under {where}")


def _socket(paths: Paths) -> Iterator[Finding]:
    length = len(os.fsencode(paths.socket))
    if length > SOCKET_PATH_LIMIT and not Path("/proc/self/fd").is_dir():
        remedy = "choose a shorter --state folder"
        yield Finding("socket", "error", f"its path is {length} bytes, over the limit", remedy)
    else:
        yield Finding("socket", "ok", "the control socket can be made")


def _config(paths: Paths) -> Iterator[Finding]:
    try:
        config, profile, chosen = load_profiled_config(paths)
        names = chosen_plugins(chosen, config)
        runtime = Runtime(paths, config, names, profile=profile)
    except LoomError as error:
        yield Finding("configuration", "error", str(error), "mend the file")
        return
    yield Finding("configuration", "ok", f"profile {profile}: {', '.join(names)}")
    for name in names:
        if name not in runtime.plugins.manifests:
            remedy = f"loom plugins {name}"
            yield Finding("plugin", "error", f"{name} is chosen but not usable", remedy)


def _plugins(paths: Paths) -> Iterator[Finding]:
    for entry in installed().values():
        if entry["problem"]:
            yield Finding("plugin", "error", f"{entry['name']}: {entry['problem']}", "reinstall it")


def _watching(paths: Paths) -> Iterator[Finding]:
    limit = Path("/proc/sys/fs/inotify/max_user_watches")
    if not limit.is_file():
        yield Finding("files", "warning", "no inotify here: other mechanisms, fewer promises")
        return
    watches = int(limit.read_text("ascii"))
    verdict: Verdict = "ok" if watches >= ENOUGH_WATCHES else "warning"
    remedy = "" if verdict == "ok" else "raise fs.inotify.max_user_watches"
    yield Finding("files", verdict, f"inotify, {watches} folders at most", remedy)


def _beneath(paths: Paths) -> Iterator[Finding]:
    """openat2 answers EINVAL or EFAULT to nonsense where it exists, ENOSYS or EPERM where not."""
    import ctypes
    import errno

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(OPENAT2, -1, None, None, 0)
    if ctypes.get_errno() in (errno.ENOSYS, errno.EPERM):
        message = "no openat2: file tools walk with O_NOFOLLOW and follow no links"
        yield Finding("file tools", "warning", message)
    else:
        yield Finding("file tools", "ok", "openat2: paths are resolved beneath the workspace")


def _sandbox(paths: Paths) -> Iterator[Finding]:
    """Tries the drivers, the strongest first: a program that is installed may still not work."""
    reasons: list[str] = []
    drivers = [entry.load() for entry in entry_points(group="loom.sandbox")]
    for driver in sorted(drivers, key=lambda driver: driver.strength, reverse=True):
        found = driver.probe()
        if isinstance(found, str):
            reasons.append(found)
            continue
        doubts = [*reasons, *found.cautions]
        verdict: Verdict = "warning" if doubts else "ok"
        remedy = "install bubblewrap" if reasons else ""
        message = "; ".join([f"{found.mechanism} works", *doubts])
        yield Finding("sandbox", verdict, message, remedy)
        return
    why = "; ".join(reasons) or "no driver is installed"
    remedy = "install bubblewrap and the plugin sandbox"
    yield Finding("sandbox", "warning", f"none: programs are refused ({why})", remedy)


def _time(paths: Paths) -> Iterator[Finding]:
    try:
        ZoneInfo("Europe/Berlin")
        yield Finding("time zones", "ok", "the database is there")
    except ZoneInfoNotFoundError:
        remedy = "install the package tzdata"
        yield Finding("time zones", "error", "no database: timers know UTC only", remedy)


def _storage(paths: Paths) -> Iterator[Finding]:
    yield Finding("sqlite", "ok", sqlite3.sqlite_version)
    with tempfile.TemporaryFile() as probe:
        os.fsync(probe.fileno())
    yield Finding("encoding", *_encoding())


def _encoding() -> tuple[Verdict, str, str]:
    name = sys.getfilesystemencoding()
    if name == "utf-8":
        return "ok", "file names are UTF-8", ""
    return "warning", f"file names are {name}", "set a UTF-8 locale"


CHECKS: tuple[Check, ...] = (
    _python, _state, _socket, _config, _plugins, _watching, _beneath, _sandbox, _time, _storage,
)  # fmt: skip
