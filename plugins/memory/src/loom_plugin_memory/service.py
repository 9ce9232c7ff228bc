"""The memory as a whole: requests are checked, then answered in the one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
from loom.contracts import (
    AppendEvent,
    CheckDuplicate,
    Embedder,
    MemoryRequest,
    Retrieve,
    SaveContext,
    SavePlan,
    VectorIndex,
    VectorSource,
)
from loom_kernel import Health, Host

from loom_plugin_memory.desk import NO_LABELS, Answer, Desk
from loom_plugin_memory.embedding import Embedding
from loom_plugin_memory.problems import Refusal, Stopped
from loom_plugin_memory.retrieval import Weights
from loom_plugin_memory.settings import Settings
from loom_plugin_memory.store import Store

WINDOW = 60.0
"""Seconds of the shortest window in which a plan may be a repetition."""
LONGEST = 1_000_000
"""Bytes of the longest answer."""
T = TypeVar("T")
M = TypeVar("M", bound=MemoryRequest)


class Service:
    """Answers requests from `start` until `aclose`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._settings: Settings = host.settings
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loom-memory")
        self._embedder: Embedder | None = None
        self._desk: Desk | None = None
        self._embedding: Embedding | None = None
        self._making: asyncio.Task[None] | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Open the file.

        Raises:
            LoomError: it cannot be opened, or a driver does not work; the message says which.
        """
        settings = self._settings
        make = self._host.driver("loom.embedders", settings.embedder)
        self._embedder = embedder = make(settings.embedding)
        self._host.driver("loom.vectors", settings.vectors).check(settings.index)
        weights = Weights(settings.half_life, settings.recency)
        store = await self._run(Store, self._host.paths.state)
        self._desk = Desk(store, embedder, self._index, weights, settings.max_sessions)
        self._embedding = Embedding(self._host, embedder, self._desk, self._run)
        self._making = self._host.spawn(self._embedding.keep_up(), "embed")

    def _index(self, source: VectorSource) -> VectorIndex:
        """Made in the thread, when the first vector is needed: its packages take their time."""
        make = self._host.driver("loom.vectors", self._settings.vectors)
        folder = self._host.paths.state / self._settings.vectors
        dimension = self._embedder.dimension if self._embedder else 0
        index: VectorIndex = make(folder, dimension, source, self._settings.index)
        return index

    async def answer(
        self, owner: str, request: MemoryRequest, labels: frozenset[str] = NO_LABELS
    ) -> Answer:
        """What *owner* asked for; *labels* are those of all that led to the request.

        Raises:
            Refusal: it makes no sense, or is too much.
            Stopped: too late.
            LoomError: it could not be written, or read.
        """
        if self._is_closed or self._desk is None or self._embedding is None:
            raise Stopped
        request = checked(request)
        vector = None
        if isinstance(request, Retrieve) and request.query.strip():
            await self._embedding.wait_idle(self._settings.patience)
            vector = await self._embedding.of_query(request.query)
        now = self._host.clock.time()
        answer = await self._run(self._desk.answer, owner, request, now, labels, vector)
        if isinstance(request, AppendEvent | SavePlan | SaveContext):
            self._embedding.call()
        length = len(msgspec.json.encode(answer.data))
        if length > LONGEST:
            said = f"the answer has {length} bytes, {LONGEST} fit into an event; ask for less"
            raise Refusal("BUDGET_EXCEEDED", said)
        return answer

    def health(self) -> Health:
        """Whether vectors are made."""
        if self._embedding is None:
            return Health()
        problem = self._embedding.problem
        said = f"found by words alone: {problem}" if problem else "ok"
        return Health(not problem, said, {"vectors_made": float(self._embedding.made)})

    async def _run(self, act: Callable[..., T], *arguments: Any) -> T:
        if self._is_closed:
            raise Stopped
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: act(*arguments))

    async def aclose(self) -> None:
        """Finish what was begun, and close the file."""
        if self._making is not None:
            self._making.cancel()
            await asyncio.wait([self._making])
        self._is_closed = True
        try:
            if self._desk is not None:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._thread, self._desk.close)
        finally:
            if self._embedder is not None:
                await self._embedder.aclose()
            await asyncio.to_thread(self._thread.shutdown)


def checked(request: M) -> M:
    """*request*, if every field is within its range.

    Raises:
        Refusal: INVALID_PARAMS, with the field.
    """
    kind = type(request)
    try:
        whole = msgspec.json.decode(msgspec.json.encode(request), type=kind)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise Refusal("INVALID_PARAMS", f"no {kind.__name__}: {error}") from None
    if isinstance(whole, CheckDuplicate) and 0 < whole.window < WINDOW:
        said = f"no CheckDuplicate: window is {whole.window:g}; it must be 60 to 86400, or 0"
        raise Refusal("INVALID_PARAMS", said)
    return whole
