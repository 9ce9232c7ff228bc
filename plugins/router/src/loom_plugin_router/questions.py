"""The arguments of `llm:think`: what is asked, and within which limits."""

from __future__ import annotations

from loom.contracts import (
    RouteRequest,
    ToolDescriptor,
    ToolHints,
)
from loom.models import Asking

from loom_plugin_router.privacy import LEVELS

NAME = "llm:think"
THOUGHT = "thought"
"""The type of what is asked apart from any event."""
SEEN = 4_000
"""Characters of a question that estimators get to see."""
_TEXT = {"type": "string"}
_LIST = {"type": "array", "items": {"type": "object"}}
THINK = ToolDescriptor(
    name=NAME,
    description=(
        "Ask the language model that fits the question: on this machine or elsewhere, as privacy, "
        "time, cost and quality allow. Give `prompt`, or `messages` of a conversation."
    ),
    parameters={
        "type": "object",
        "properties": {
            "prompt": {**_TEXT, "description": "The question, instead of messages"},
            "system": {**_TEXT, "description": "How the model is to behave"},
            "messages": {**_LIST, "description": "As llm:generate takes them"},
            "tools": _LIST,
            "tool_choice": {"enum": ["auto", "required", "none"]},
            "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
            "max_tokens": {"type": ["integer", "null"], "minimum": 1},
            "stop": {"type": "array", "items": _TEXT},
            "schema": {"type": ["object", "null"]},
            "stream": {
                "type": "boolean",
                "description": "Tell the answer on tool.call.progressed while it comes",
            },
            "privacy": {"enum": [*LEVELS], "description": "Stricter than the owner's, or no use"},
            "latency_ms": {"type": "number", "minimum": 0},
            "cost_cap": {"type": "number", "minimum": 0},
            "quality": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "additionalProperties": False,
    },
    timeout=600.0,
    hints=ToolHints(read_only=True),
)


class Question(Asking, frozen=True, forbid_unknown_fields=True):
    """What the tool is called with."""

    stream: bool = False
    privacy: str = ""
    latency_ms: float | None = None
    cost_cap: float | None = None
    quality: float | None = None

    def wanted(self, agent: str) -> RouteRequest:
        """What the router is asked for *agent*."""
        request = self.request
        asked = [message.content for message in request.messages if message.role == "user"]
        details = {
            "text": asked[-1][:SEEN] if asked else "",
            "characters": sum(len(message.content) for message in request.messages),
            "tools": len(self.tools),
            "max_tokens": self.max_tokens,
        }
        return RouteRequest(
            agent, THOUGHT, self.privacy, self.latency_ms, self.cost_cap, self.quality, details
        )
