"""One worker: asked one thing at a time, and killed when it does not answer."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Self

import msgspec
from loom.processes import Process
from loom_kernel import LoomError

from loom_plugin_wasm.launching import LARGEST_FRAME
from loom_plugin_wasm.worker.frames import LENGTHS, LONGEST_HEAD, pack
from loom_plugin_wasm.worker.orders import LARGEST

GRACE = 0.05
"""Seconds after its limit that a call has to be answered; the limit is the worker's to keep."""


Tell = Callable[[float, float, str], Awaitable[None]]
"""Hears how far a call has come: done, of how much, and a word about it."""


class WorkerGone(LoomError):
    """The process ended, or was ended; *is_late*: because it did not answer in time."""

    def __init__(self, reason: str, *, is_late: bool = False) -> None:
        self.reason = reason
        self.is_late = is_late
        super().__init__(reason)


class Answer(msgspec.Struct, frozen=True):
    """What a worker answers: `code` is `ok`, `error`, `trap`, `timeout` or `memory`.

    Or `progress`: then the answer is still to come.
    """

    code: str
    reason: str = ""
    imports: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    done: float = 0.0
    total: float = 0.0
    body: bytes = b""


class Worker:
    """A worker process. After `WorkerGone`, or a cancelled `ask`, it is of no use any more."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def load(cls, process: Process, frame: bytes, within: float) -> Self:
        """*process*, with the module of *frame* loaded.

        Raises:
            WorkerGone: it cannot be loaded; the process has ended.
        """
        worker = cls(process)
        try:
            answer = await worker.ask(frame, within)
            if answer.code != "ok":
                raise WorkerGone(answer.reason)
        except BaseException:
            await worker.aclose()
            raise
        return worker

    async def call(
        self, export: str, content: bytes, seconds: float, tell: Tell | None = None
    ) -> Answer:
        """What *export* of its module answers to *content*, within *seconds* and `GRACE`.

        *tell* hears of progress.

        Raises:
            WorkerGone: it did not answer.
        """
        frame = pack({"op": "call", "export": export}, content)
        return await self.ask(frame, seconds + GRACE, tell)

    async def ask(self, frame: bytes, within: float, tell: Tell | None = None) -> Answer:
        """Its answer to *frame*; if it does not come *within* seconds, the worker is killed.

        Raises:
            WorkerGone: it did not answer.
        """
        try:
            async with asyncio.timeout(within):
                self._process.stdin.write(frame)  # an answer will say that it was taken
                while (answer := await self._receive()).code == "progress":
                    if tell is not None:
                        await tell(answer.done, answer.total, answer.reason)
                return answer
        except TimeoutError:
            self._process.kill()
            raise WorkerGone("it did not answer in time", is_late=True) from None
        except (asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError):
            raise WorkerGone(_ending(await self._process.wait())) from None
        except BaseException:
            self._process.kill()
            raise

    async def _receive(self) -> Answer:
        stream = self._process.stdout
        head, body = LENGTHS.unpack(await stream.readexactly(LENGTHS.size))
        if head > LONGEST_HEAD or body > LARGEST or head + body > LARGEST_FRAME:
            self._process.kill()
            raise WorkerGone("its worker answered with more than it may")
        text = await stream.readexactly(head)
        content = await stream.readexactly(body)
        try:
            return msgspec.structs.replace(msgspec.json.decode(text, type=Answer), body=content)
        except msgspec.DecodeError as error:
            self._process.kill()
            raise WorkerGone(f"its worker answered what cannot be read: {error}") from None

    async def aclose(self) -> None:
        """End it."""
        await self._process.aclose()


def _ending(code: int) -> str:
    """How the process ended, in words."""
    number = -code if code < 0 else code - 128
    if number in set(signal.Signals):
        name = signal.Signals(number).name
        hint = "; it used too much processor time" if name == "SIGXCPU" else ""
        hint = "; its worker may have run out of memory" if name == "SIGABRT" else hint
        return f"its worker was ended by {name}{hint}"
    return f"its worker ended with exit code {code}"
