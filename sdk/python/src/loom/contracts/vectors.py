"""Vectors: what finds the nearest (`loom.vectors`) and what makes them of text (`loom.embedders`).

A vector is its numbers as little-endian 32-bit floats, several are one after the other. What an
index holds is derived: the truth is its source, from which it can be made again at any time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from loom_kernel import LoomError


class InvalidVector(LoomError):
    """These are no vectors of the index's dimension, or they hold something that is no number."""


class EmbedderUnavailable(LoomError):
    """No vectors can be made now; the text says why. It may be tried again later."""


class VectorSource(Protocol):
    """The truth that an index is derived from."""

    @property
    def name(self) -> str:
        """Of what the vectors were made; another name means other vectors."""
        ...

    @property
    def generation(self) -> int:
        """Rises with every change, and never comes back to what it was."""
        ...

    def read(self) -> Iterable[tuple[list[int], bytes]]:
        """All ids and their vectors, in parts of some thousand."""
        ...


class VectorIndex(Protocol):
    """Finds the nearest vectors. All calls come from one thread at a time.

    A driver is called with `(folder, dimension, source, options)`: a private folder for what it
    keeps, and the owner's options, of which `metric` is `cosine` (the default) or `dot`. It begins
    with all that *source* has: it reads that, or files of its own that hold the source's generation
    and are whole. Before that, its `check(options)` has raised `ConfigError` for options that it
    does not know.
    """

    @property
    def count(self) -> int:
        """How many vectors there are."""
        ...

    def add(self, ids: Sequence[int], vectors: bytes) -> None:
        """Hold *vectors* under *ids* (0 to 2**63 - 1), instead of what was there before.

        Raises:
            InvalidVector: nothing was changed.
        """
        ...

    def remove(self, ids: Iterable[int]) -> None:
        """Hold these no longer; ids that are not there are passed over."""
        ...

    def search(
        self, vector: bytes, limit: int, among: Collection[int] | None = None
    ) -> list[tuple[int, float]]:
        """The *limit* nearest, best first, with their likeness (higher is nearer).

        *among* = only of these ids.

        Raises:
            InvalidVector: see `add`.
        """
        ...

    def rebuild(self) -> None:
        """Begin anew from the source."""
        ...

    def save(self) -> None:
        """Keep what is there as the source's present generation; call it when that is true."""
        ...

    def close(self) -> None:
        """Give up what is held, without saving."""
        ...


class Embedder(Protocol):
    """Makes vectors of texts. A driver is called with the owner's options (a table).

    Raises `ConfigError` for options that it does not know, `LoomError` if a package is missing.
    """

    @property
    def name(self) -> str:
        """Names what makes the vectors, with all that changes them; vectors of others are stale."""
        ...

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        ...

    @property
    def floor(self) -> float:
        """The cosine below which two texts have nothing to do with each other."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """The vector of each of *texts*.

        Raises:
            EmbedderUnavailable: not now.
        """
        ...

    async def aclose(self) -> None:
        """Give up what is held."""
        ...
