"""Which instance a command means, and the process that is it, beyond mistaking.

A process number alone proves nothing: it may have been given to another process since. Here a
process counts as ours only while the operating system says that it holds the state folder's lock,
and it is held by a descriptor (pidfd), which never comes to mean another one.
"""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
from loom_kernel import Paths, find_paths, private_dir

APP = "loom.toml"
LOCK = "loom.lock"  # the kernel's `StateLock` holds it, and writes its process number into it


def find_instance(folder: str | None, state: Path | None) -> Paths:
    """The app in *folder*, else in the current folder if there is one, else the user's instance.

    Raises:
        UsageError: *folder* holds no app.
    """
    if folder and not Path(folder, APP).is_file():
        raise click.UsageError(f"{folder} holds no {APP}; make an app with: loom new app NAME")
    here = Path(folder) if folder else Path.cwd()
    return find_paths(here if (here / APP).is_file() else None, state)


def prepare_state(state: Path) -> None:
    """Make *state*, what is missing above it, and its folder for plugins, for their owner only.

    Raises:
        ConfigError: it belongs to somebody else, or others may write to it.
    """
    plugins = state / "plugins"
    for folder in (*reversed(plugins.parents), plugins):
        if folder in (state, plugins) or not folder.exists():
            private_dir(folder)


def lock_holder(state: Path) -> int:
    """The process that holds *state*, 0 if none does or the system does not say.

    Trying the lock would tell as much, but whoever tries it holds it for a moment, and an
    instance that starts in that moment would find it taken. Looking changes nothing.
    """
    try:
        inode = (state / LOCK).stat().st_ino
        claimed = (state / LOCK).read_text("ascii", "replace").strip()
        locks = Path("/proc/locks").read_text("ascii")
    except OSError:
        return 0
    for line in locks.splitlines():
        # 1: FLOCK  ADVISORY  WRITE 1234 fe:00:2238337 0 EOF
        kind, _, _, pid, where, *_ = line.partition(":")[2].split()
        if kind == "FLOCK" and pid == claimed and where.rpartition(":")[2] == str(inode):
            return int(pid)
    return 0


class InstanceProcess:
    """The process that holds *state*; it can be waited for and signalled until `close`.

    Raises:
        ProcessLookupError: none does, or this system cannot say so.
    """

    def __init__(self, state: Path) -> None:
        self.pid = lock_holder(state)
        if not self.pid:
            raise ProcessLookupError(f"no process holds {state}")
        self._descriptor = os.pidfd_open(self.pid)
        if lock_holder(state) != self.pid:  # it ended between the two lines above
            os.close(self._descriptor)
            raise ProcessLookupError(f"no process holds {state}")

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within *seconds*."""
        ended = select.poll()
        ended.register(self._descriptor, select.POLLIN)
        return bool(ended.poll(seconds * 1000))

    def send(self, number: signal.Signals) -> None:
        """Send a signal; a process that is gone needs none."""
        try:
            signal.pidfd_send_signal(self._descriptor, number)
        except ProcessLookupError:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


def instance_options(command: Any) -> Any:
    """`--project` and `--state`, for commands whose arguments are something else."""
    command = click.option(
        "--state", type=click.Path(path_type=Path), help="State folder, instead of the usual."
    )(command)
    return click.option(
        "--project",
        "folder",
        type=click.Path(),
        metavar="DIR",
        help="The app folder that is meant.",
    )(command)


def folder_argument(command: Any) -> Any:
    """`[DIR]` and `--state`."""
    command = click.option(
        "--state", type=click.Path(path_type=Path), help="State folder, instead of the usual."
    )(command)
    return click.argument("folder", required=False, type=click.Path(), metavar="[DIR]")(command)
