"""Running a runtime until somebody ends it: one instance a state folder, signals, exit codes."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import signal
from collections.abc import Callable
from typing import Self

from loom_kernel.errors import AlreadyRunning, ConfigError
from loom_kernel.paths import Paths, private_dir
from loom_kernel.runtime import Runtime

log = logging.getLogger("loom.service")

EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_RUNNING, EXIT_STOPPED, EXIT_INTERRUPTED = 0, 1, 2, 3, 4, 130
LOCK = "loom.lock"


class StateLock:
    """Holds a state folder for one process. The lock goes with the process, whatever ends it.

    Raises on entering:
        AlreadyRunning: another instance holds it; nothing has been changed.
        ConfigError: the folder is not private to its owner.
    """

    def __init__(self, paths: Paths) -> None:
        self._state = paths.state
        self._file = -1

    def __enter__(self) -> Self:
        private_dir(self._state)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._file = os.open(self._state / LOCK, flags, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot lock {self._state / LOCK}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 20).decode("ascii", "replace").strip()
            os.close(self._file)
            raise AlreadyRunning(self._state, int(holder) if holder.isdecimal() else 0) from None
        try:
            os.ftruncate(self._file, 0)
            os.write(self._file, str(os.getpid()).encode())
        except OSError as error:
            os.close(self._file)
            raise ConfigError(f"cannot write to {self._state}: {error.strerror}") from error
        return self

    def __exit__(self, *failure: object) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


async def serve(runtime: Runtime, on_ready: Callable[[Runtime], bool | None]) -> int:
    """Start *runtime*, call *on_ready*, run until a signal or a plugin asks to stop; the exit code.

    The first SIGTERM or SIGINT stops in order, a second one at once. If *on_ready* returns
    False the runtime is stopped right away.
    """
    loop = asyncio.get_running_loop()

    def interrupt(number: int, frame: object) -> None:
        # A plain handler: it is heard even while some plugin's code blocks the event loop.
        if heard or runtime.stop_requested.is_set():
            os.write(2, b"stopped at once by a second signal\n")
            os._exit(EXIT_INTERRUPTED)
        heard.append(number)
        loop.call_soon_threadsafe(runtime.stop_requested.set)

    heard: list[int] = []
    before = {n: signal.signal(n, interrupt) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        await runtime.start()
        gc.freeze()
        gc.enable()
        if on_ready(runtime) is not False:
            await runtime.stop_requested.wait()
    finally:
        report = await runtime.stop()
        for known, handler in before.items():
            signal.signal(known, handler)
    if report.stuck:
        log.error("ended with %d tasks that did not", len(report.stuck))
        logging.shutdown()
        os._exit(EXIT_OK)
    return EXIT_OK
