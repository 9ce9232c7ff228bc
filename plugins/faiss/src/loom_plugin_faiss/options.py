"""What the owner may set in `[plugins.memory.index]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from loom_kernel import ConfigError


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which index, and how it is made."""

    kind: Literal["flat", "hnsw"] = "flat"
    """`flat` compares all and finds the nearest; `hnsw` follows a graph and nearly does."""
    metric: Literal["cosine", "dot"] = "cosine"
    links: Annotated[int, msgspec.Meta(ge=4, le=128)] = 32
    """Neighbours of each vector in the graph."""
    breadth: Annotated[int, msgspec.Meta(ge=8, le=4096)] = 128
    """How many candidates a search in the graph, or the making of it, follows at once."""


def read_options(options: Mapping[str, Any]) -> Options:
    """*options*, checked.

    Raises:
        ConfigError: one is unknown, or out of its range.
    """
    try:
        return msgspec.convert(dict(options), Options)
    except msgspec.ValidationError as error:
        raise ConfigError(f"[plugins.memory.index] for faiss: {error}") from error
