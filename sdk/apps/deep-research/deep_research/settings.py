"""What `loom.toml` says to each agent, checked: a word that nobody reads is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

OF_THE_RUNTIME = frozenset({"concurrency", "enabled", "mailbox", "run", "topics"})
"""Keys of an agent's table that the runtime reads."""

S = TypeVar("S", bound=msgspec.Struct)
Positive = Annotated[float, msgspec.Meta(gt=0)]


class LeadSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    llm: str = ""
    max_questions: Annotated[int, msgspec.Meta(ge=1, le=5)] = 5
    timeout_sec: Positive = 300
    model_timeout_sec: Positive = 60


class ResearcherSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    llm: str = ""
    seeds: list[str] = []
    max_pages: Annotated[int, msgspec.Meta(ge=1, le=10)] = 8
    max_chars: Annotated[int, msgspec.Meta(ge=1000, le=20_000)] = 20_000
    max_claims: Annotated[int, msgspec.Meta(ge=1, le=20)] = 6
    max_iterations: Annotated[int, msgspec.Meta(ge=2, le=50)] = 10


def read_settings(agent: str, table: Mapping[str, Any], kind: type[S]) -> S:
    """*table* of `[agents.<agent>]` as a *kind*.

    Raises:
        ValueError: a key is unknown or its value cannot be.
    """
    own = {key: value for key, value in table.items() if key not in OF_THE_RUNTIME}
    try:
        return msgspec.convert(own, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"[agents.{agent}] in loom.toml: {error}") from error
