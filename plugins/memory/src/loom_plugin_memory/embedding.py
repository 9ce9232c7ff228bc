"""Vectors of what was said, made in the background, whichever embedder is set.

The texts are what is kept; a vector that is missing, or of another embedder, is made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from loom.contracts import Embedder, EmbedderUnavailable
from loom_kernel import Host, LoomError

from loom_plugin_memory.desk import Desk

BATCH = 64
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds between two tries while no vectors can be made."""


class Embedding:
    """Keeps the vectors up with the texts. *run* calls in the desk's thread."""

    def __init__(
        self, host: Host, embedder: Embedder, desk: Desk, run: Callable[..., Awaitable[Any]]
    ) -> None:
        self.problem = ""
        """Why no vectors are made now."""
        self.made = 0
        self._host = host
        self._embedder = embedder
        self._desk = desk
        self._run = run
        self._wanted = asyncio.Event()
        self._idle = asyncio.Event()
        self._wanted.set()

    def call(self) -> None:
        """There may be new texts."""
        self._idle.clear()
        self._wanted.set()

    async def wait_idle(self, patience: float) -> bool:
        """Wait until every text has its vector, at most *patience* seconds; whether it has."""
        if self.problem:
            return False
        try:
            async with asyncio.timeout(patience):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def of_query(self, text: str) -> bytes | None:
        """The vector of *text*; None if none can be made: then words have to do."""
        try:
            (vector,) = await self._embed([text])
        except EmbedderUnavailable as error:
            self._complain(error)
            return None
        return vector

    async def keep_up(self) -> None:
        """Make what is missing, for as long as the host lives."""
        pause = FIRST_PAUSE
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._make_all()
                pause = FIRST_PAUSE
            except LoomError as error:  # of the embedder, or of the disk
                self._complain(error)
                self._wanted.set()
                await self._host.clock.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _make_all(self) -> None:
        while missing := await self._run(self._desk.unembedded, BATCH):
            vectors = await self._embed([text for _, text in missing])
            pairs = [(id, vector) for (id, _), vector in zip(missing, vectors, strict=True)]
            await self._run(self._desk.embed, pairs)
            self.made += len(pairs)
            self.problem = ""
        if not self._wanted.is_set():
            self._idle.set()

    async def _embed(self, texts: Sequence[str]) -> list[bytes]:
        vectors = await self._embedder.embed(texts)
        length = self._embedder.dimension * 4
        if len(vectors) != len(texts) or any(len(vector) != length for vector in vectors):
            raise EmbedderUnavailable(
                f"{self._embedder.name} made other vectors than {len(texts)} of "
                f"{self._embedder.dimension} numbers"
            )
        return vectors

    def _complain(self, error: LoomError) -> None:
        if str(error) != self.problem:
            self.problem = str(error)
            self._host.log.warning("memories are found by their words alone: %s", error)
