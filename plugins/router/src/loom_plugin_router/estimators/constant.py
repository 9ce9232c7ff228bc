"""The same for every question: to try a policy out, and for tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom.contracts import RouteRequest


class Constant:
    """Always *value*; supports the event types in *types*, or all."""

    name = "constant"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._value = float(options.get("value", 0.0))
        self._types = frozenset(options.get("types", ()))

    def supports(self, event_type: str) -> bool:
        return not self._types or event_type in self._types

    def estimate(self, request: RouteRequest) -> float:
        return self._value
