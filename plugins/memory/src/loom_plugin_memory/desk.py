"""What happens in the one thread that may touch the file and the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from loom.contracts import (
    AppendEvent,
    CheckDuplicate,
    CheckExecuted,
    Done,
    Embedder,
    ForgetSession,
    GetExecutionStats,
    GetRecentPlans,
    MarkExecuted,
    MemoryRequest,
    QueryContext,
    Retrieve,
    SaveContext,
    SavePlan,
    SummarizeEpisode,
    VectorIndex,
    VectorSource,
)
from loom_kernel import LoomError

from loom_plugin_memory import episodes, plans, sessions, texts
from loom_plugin_memory.retrieval import Meaning, Weights, retrieve
from loom_plugin_memory.store import Store

SAVED = 10_000
"""Vectors that may change before the index is asked to save itself."""
NO_LABELS: frozenset[str] = frozenset()
Operation = Callable[[sqlite3.Connection, int, float, Any], msgspec.Struct | None]
WRITES: dict[type[MemoryRequest], Operation] = {
    SavePlan: plans.save,
    MarkExecuted: plans.mark,
    AppendEvent: episodes.append,
    SaveContext: episodes.save_items,
}
"""These make the session if it is new."""
READS: dict[type[MemoryRequest], Operation] = {
    GetRecentPlans: plans.recent,
    CheckExecuted: plans.executed,
    GetExecutionStats: plans.stats,
    SummarizeEpisode: episodes.summarize,
    QueryContext: episodes.query_items,
}


class Answer(msgspec.Struct, frozen=True):
    """An answer, and the labels of all that it may hold."""

    data: msgspec.Struct
    labels: frozenset[str] = NO_LABELS


class Desk:
    """Answers requests. *make_index* is called when vectors are needed first."""

    def __init__(
        self, store: Store, embedder: Embedder, make_index: Callable[[VectorSource], VectorIndex],
        weights: Weights, most: int,
    ) -> None:  # fmt: skip
        self._store = store
        self._embedder = embedder
        self._make_index = make_index
        self._weights = weights
        self._most = most
        """Sessions of one owner."""
        self._index: VectorIndex | None = None
        self._changes = 0

    def answer(
        self, owner: str, request: MemoryRequest, now: float, labels: frozenset[str],
        vector: bytes | None,
    ) -> Answer:  # fmt: skip
        """Do what *owner* asks; *vector* is that of a retrieval's query, if there is one.

        Raises:
            Refusal: no.
            LoomError: it could not be written, or read.
        """
        db, name = self._store.connection, request.session_id
        if (write := WRITES.get(type(request))) is not None:
            with self._writing():
                session = sessions.open_session(db, owner, name, self._most)
                sessions.add_labels(db, session, labels)
                return Answer(write(db, session, now, request) or Done())
        if isinstance(request, ForgetSession):
            with self._writing():
                sessions.remove(db, sessions.find(db, owner, name))
                return Answer(Done())
        with self._reading():
            session = sessions.find(db, owner, name)
            known = sessions.labels_of(db, session)
            return Answer(self._read(session, now, request, vector), known)

    def _read(
        self, session: int, now: float, request: MemoryRequest, vector: bytes | None
    ) -> msgspec.Struct:
        db = self._store.connection
        if isinstance(request, CheckDuplicate):
            with self._store.transaction():  # it is counted
                return plans.repeats(db, session, now, request)
        if isinstance(request, Retrieve):
            meaning = self._meaning(vector) if vector and session else None
            return retrieve(db, session, now, request, meaning, self._weights)
        return READS[type(request)](db, session, now, request) or Done()

    def _meaning(self, vector: bytes) -> Meaning:
        return Meaning(self._opened(), vector, self._embedder.floor)

    # -- vectors -----------------------------------------------------------------------------

    def unembedded(self, limit: int) -> list[tuple[int, str]]:
        """Texts that have no vector yet."""
        with self._reading():
            return texts.unembedded(self._store.connection, self._embedder.name, limit)

    def embed(self, vectors: Sequence[tuple[int, bytes]]) -> None:
        """Keep these vectors, as far as their texts are still there."""
        with self._store.transaction() as db:
            kept = texts.embed(db, self._embedder.name, vectors)
        self._derive(kept)

    def _opened(self) -> VectorIndex:
        if self._index is None:
            length = self._embedder.dimension * 4
            truth = texts.Truth(self._store.connection, self._embedder.name, length)
            self._index = self._make_index(truth)
        return self._index

    def _derive(self, added: Sequence[tuple[int, bytes]]) -> None:
        """Let the index follow what was committed; one that was not made yet will read it."""
        gone = self._store.take_gone()
        if self._index is None or not (gone or added):
            return
        self._index.remove(gone)
        self._index.add([id for id, _ in added], b"".join(data for _, data in added))
        self._changes += len(gone) + len(added)
        if self._changes >= SAVED:
            self._index.save()
            self._changes = 0

    # -- the file ----------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._store.transaction():
            yield
        self._derive(())

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise LoomError(f"{self._store.path} cannot be read: {error}") from error

    def close(self) -> None:
        """Save what is derived, and let go of the file."""
        try:
            if self._index is not None:
                if self._changes:
                    self._index.save()
                self._index.close()
        finally:
            self._store.close()
