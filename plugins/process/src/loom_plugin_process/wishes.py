"""What is wanted of one plugin, and waiting for it to change."""

from __future__ import annotations

import asyncio

from loom_kernel import Clock


class Wishes:
    """Whether a plugin shall run, and whether its process shall be a new one."""

    def __init__(self, clock: Clock, is_wanted: bool) -> None:
        self.is_wanted = is_wanted
        self.asked = ""
        """Why it shall be replaced, if it shall."""
        self._clock = clock
        self._news = asyncio.Event()

    @property
    def is_end(self) -> bool:
        """Whether a process that runs shall end."""
        return not self.is_wanted or bool(self.asked)

    def replace(self, reason: str) -> None:
        """It shall run, in a new process."""
        self.is_wanted = True
        self.asked = reason
        self.wake()

    def stop(self) -> None:
        """It shall not run."""
        self.is_wanted = False
        self.wake()

    def wake(self) -> None:
        """Wake who waits: something has happened."""
        self._news.set()

    async def wait(self, deadline: float | None = None) -> None:
        """Wait until something happens, or for *deadline* on the monotonic clock."""
        left = None if deadline is None else deadline - self._clock.monotonic()
        try:
            async with asyncio.timeout(left):
                await self._news.wait()
        except TimeoutError:
            return
        finally:
            self._news.clear()

    async def wait_end(self, deadline: float) -> None:
        """Wait for *deadline*, or until somebody wishes something else."""
        while not self.is_end and self._clock.monotonic() < deadline:
            await self.wait(deadline)
