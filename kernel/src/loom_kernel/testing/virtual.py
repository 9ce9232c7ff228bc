"""Virtual time: an event loop whose clock jumps to the next timer when nothing else is to do."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Looks at real files without waiting, and lets the loop's time pass instead."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.loop.busy_threads:
            return super().select(min(timeout, 0.01))
        ready = super().select(0)
        if not ready:
            self.loop.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop with virtual time. While a thread works for it, time stands still."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._elapsed = 0.0
        self.busy_threads = 0
        super().__init__(selector)

    def time(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self._elapsed += seconds

    def run_in_executor(  # type: ignore[override]  # the base is generic in the arguments
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self.busy_threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, future: Any) -> None:
        self.busy_threads -= 1


class VirtualClock:
    """The clock of a virtual loop. *start* is the UNIX time at which its time begins."""

    def __init__(self, start: float = 1_767_225_600.0) -> None:
        self._offset = start
        self.time: Callable[[], float] = self._time

    def _time(self) -> float:
        return self._offset + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        """Seconds of the loop."""
        return asyncio.get_running_loop().time()

    def set_wall(self, moment: float) -> None:
        """Set the wall clock to *moment* (UNIX seconds) as a person would; waits go on."""
        self._offset = moment - asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait for *seconds* of the loop's time."""
        await asyncio.sleep(seconds)

    async def sleep_until(self, moment: float) -> None:
        """Wait until `time()` has reached *moment*; notices `set_wall` within a minute."""
        while (left := moment - self.time()) > 0:  # noqa: ASYNC110  # the wall clock may be set
            await asyncio.sleep(min(left, 60.0))


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run *main* on a virtual loop: a day of waiting takes no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
