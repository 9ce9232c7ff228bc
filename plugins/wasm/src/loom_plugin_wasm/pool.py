"""The workers of one module: each has one caller at a time, and those lost are replaced."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from loom_kernel import Host, LoomError

from loom_plugin_wasm.process import Answer, Tell, Worker, WorkerGone
from loom_plugin_wasm.restarts import Restarts

Start = Callable[[], Awaitable[Worker]]


class Quarantined(LoomError):
    """Workers of the module were lost too often: trust it again, or restart Loom."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"module {name!r} is quarantined, its workers failed too often: {reason}")


class Pool:
    """*size* workers made by *start*."""

    def __init__(self, host: Host, name: str, start: Start, size: int, restarts: Restarts) -> None:
        self._host = host
        self._name = name
        self._start = start
        self._size = size
        self._restarts = restarts
        self._idle: deque[Worker] = deque()
        self._all: set[Worker] = set()
        self._free = asyncio.Semaphore(0)
        """One for each idle worker; and one more once there are no more workers."""
        self._ending: set[asyncio.Task[None]] = set()
        self._replacing: set[asyncio.Task[None]] = set()
        self.reason = ""
        """Why no worker is started any more; empty = they are."""

    async def open(self) -> None:
        """Start all workers.

        Raises:
            WorkerGone: the module cannot be loaded.
            LoomError, OSError: a worker cannot be started.
        """
        starts = (self._add() for _ in range(self._size))
        for problem in await asyncio.gather(*starts, return_exceptions=True):
            if problem is not None:
                raise problem

    async def call(
        self, export: str, content: bytes, seconds: float, tell: Tell | None = None
    ) -> Answer:
        """What *export* answers, from the next worker that is free; *tell* hears of progress.

        Raises:
            WorkerGone: the worker was lost on the way.
            Quarantined: there are no more workers.
        """
        worker = await self._borrow()
        try:
            return await worker.call(export, content, seconds, tell)
        except WorkerGone as gone:
            self._drop(worker, gone.reason)
            raise
        except BaseException:  # cancelled: the worker was ended, and it is not the module's fault
            self._drop(worker, "")
            raise
        finally:
            if worker in self._all:
                self._give(worker)

    async def _borrow(self) -> Worker:
        await self._free.acquire()
        if self.reason:
            self._free.release()  # for whoever waits behind us
            raise Quarantined(self._name, self.reason)
        return self._idle.popleft()

    def _give(self, worker: Worker) -> None:
        self._idle.append(worker)
        self._free.release()

    def _give_up(self, reason: str) -> None:
        self.reason = reason
        self._free.release()

    def _drop(self, worker: Worker, reason: str) -> None:
        """End *worker* and start another in its place."""
        self._all.discard(worker)
        for work, tasks in (
            (worker.aclose(), self._ending),
            (self._replace(reason), self._replacing),
        ):
            task = self._host.spawn(work, f"workers/{self._name}")
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def _replace(self, reason: str) -> None:
        """Start another worker, after a while if it is the module's fault that one was lost."""
        while not self.reason:
            if reason:
                delay = self._restarts.next_delay(self._host.clock.monotonic())
                if delay is None:
                    self._give_up(reason)
                    self._host.log.error("%s", Quarantined(self._name, reason))
                    return
                await self._host.clock.sleep(delay)
            try:
                await self._add()
                return
            except (LoomError, OSError) as error:
                reason = str(error)

    async def _add(self) -> None:
        worker = await self._start()
        self._all.add(worker)
        self._give(worker)

    async def aclose(self) -> None:
        """End all workers."""
        self._give_up(self.reason or "it was stopped")
        for task in self._replacing:
            task.cancel()
        if tasks := self._ending | self._replacing:
            await asyncio.wait(tasks)
        await asyncio.gather(*(worker.aclose() for worker in self._all))
        self._all.clear()
        self._idle.clear()
