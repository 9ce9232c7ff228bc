"""Whether a small model will do, from what is seen of a question without understanding it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from loom.contracts import RouteRequest

LOOKED_AT = 2_000
"""Characters of the question that are read."""
SHORT = 200
"""Characters up to which length says nothing."""
_HARD = re.compile(
    r"\b(prove|proof|plan|design|architect\w*|analy[sz]e|compare|evaluate|refactor|debug|"
    r"implement|algorithm|optimi[sz]e|derive|step by step|trade-?offs?|strategy|why)\b|```",
    re.IGNORECASE,
)
_EASY = re.compile(
    r"\b(classify|label|extract|translate|summari[sz]e|rephrase|spell|yes or no|true or false|"
    r"hello|thanks|what time|reply with)\b",
    re.IGNORECASE,
)
_MEDIA = ("video", "audio", "image", "face")
TRUST = 5
"""Outcomes that weigh as much as the look of the question."""


class QuestionEstimator:
    """Short and simple questions without tools: likely. Then what came of such ones before."""

    name = "question"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._base = float(options.get("base", 0.85))

    def supports(self, event_type: str) -> bool:
        return not event_type.startswith(_MEDIA)

    def estimate(self, request: RouteRequest) -> float:
        details = request.details
        look = self._look(details)
        count = float(details.get("past_count", 0))
        if not count:
            return look
        return (look * TRUST + float(details["past"]) * count) / (TRUST + count)

    def _look(self, details: Mapping[str, Any]) -> float:
        text = str(details.get("text", ""))[:LOOKED_AT]
        found = self._base
        characters = int(details.get("characters", len(text)))
        if characters > SHORT:
            found -= 0.1 * math.log2(characters / SHORT)
        if tools := int(details.get("tools", 0)):
            found -= 0.15 + 0.03 * min(tools, 10)
        found -= 0.15 * min(len(_HARD.findall(text)), 3)
        found += 0.1 if _EASY.search(text) else 0.0
        return min(max(found, 0.0), 1.0)
