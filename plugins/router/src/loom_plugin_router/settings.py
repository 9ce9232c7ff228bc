"""`[plugins.router]`, and the limits that it sets for each agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from loom_kernel import ConfigError

Level = Literal["public", "sensitive", "private", "local-only"]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """See `loom-plugin.toml`, where each is explained."""

    privacy: Level
    latency_budget_ms: float
    cost_cap: float
    quality: float
    hybrid_from: float
    agents: dict[str, Any]
    private_to: list[str]
    when_forbidden: Literal["defer", "drop"]
    topics: list[str]
    estimators: list[str]
    estimating: dict[str, dict[str, Any]]
    local_ms: float
    cloud_ms: float
    answer_tokens: int
    learning: bool
    exploration: float
    cost_weight: float
    latency_weight: float
    keep: int
    concurrency: int


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of one agent."""

    privacy: Level
    latency_budget_ms: Amount
    cost_cap: Amount
    quality: Share


class Policies:
    """Each agent's limits: the router's own, `[agents.<id>.routing]`, `[plugins.router.agents]`.

    Raises:
        ConfigError: a table sets what is no limit, or out of its range.
    """

    def __init__(self, settings: Settings, agents: Mapping[str, Any]) -> None:
        self._default = Policy(
            privacy=settings.privacy,
            latency_budget_ms=settings.latency_budget_ms,
            cost_cap=settings.cost_cap,
            quality=settings.quality,
        )
        self._own: dict[str, Policy] = {}
        for id, table in agents.items():
            if isinstance(table, Mapping) and "routing" in table:
                self._set(id, table["routing"], f"agents.{id}.routing")
        for id, table in settings.agents.items():
            self._set(id, table, f"plugins.router.agents.{id}")

    def of(self, agent: str) -> Policy:
        """The limits of *agent*; an agent without a table has the router's."""
        return self._own.get(agent, self._default)

    def _set(self, id: str, table: Any, where: str) -> None:
        known = msgspec.to_builtins(self.of(id))
        try:
            self._own[id] = msgspec.convert({**known, **table}, Policy)
        except (TypeError, msgspec.ValidationError) as error:
            raise ConfigError(f"[{where}]: {error}") from None
