"""Loom's SDK: what an app author imports. Names are loaded when they are first used.

from loom import Agent, Context, Envelope, capability
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom_kernel import Envelope, NoResponders, RequestTimeout

    from loom.agent import Agent
    from loom.capabilities import Capability, capability
    from loom.cognition import (
        CognitiveAgent,
        CognitiveConfig,
        CognitiveResult,
        ThinkingStrategy,
        ThoughtStep,
    )
    from loom.collaboration import BarrierTimeout, barrier, bid, contract_net, fanout
    from loom.context import Context, Thread, call_tool
    from loom.contracts import ToolError
    from loom.eventbus import EventBus
    from loom.models import LLMProvider
    from loom.provider import ToolProvider

_HOME = {
    "Agent": "loom.agent",
    "BarrierTimeout": "loom.collaboration",
    "Capability": "loom.capabilities",
    "CognitiveAgent": "loom.cognition",
    "CognitiveConfig": "loom.cognition",
    "CognitiveResult": "loom.cognition",
    "Context": "loom.context",
    "Envelope": "loom_kernel",
    "EventBus": "loom.eventbus",
    "LLMProvider": "loom.models",
    "NoResponders": "loom_kernel",
    "RequestTimeout": "loom_kernel",
    "ThinkingStrategy": "loom.cognition",
    "ThoughtStep": "loom.cognition",
    "Thread": "loom.context",
    "ToolError": "loom.contracts",
    "ToolProvider": "loom.provider",
    "barrier": "loom.collaboration",
    "bid": "loom.collaboration",
    "call_tool": "loom.context",
    "capability": "loom.capabilities",
    "contract_net": "loom.collaboration",
    "fanout": "loom.collaboration",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


__all__ = [
    "Agent",
    "BarrierTimeout",
    "Capability",
    "CognitiveAgent",
    "CognitiveConfig",
    "CognitiveResult",
    "Context",
    "Envelope",
    "EventBus",
    "LLMProvider",
    "NoResponders",
    "RequestTimeout",
    "ThinkingStrategy",
    "ThoughtStep",
    "Thread",
    "ToolError",
    "ToolProvider",
    "barrier",
    "bid",
    "call_tool",
    "capability",
    "contract_net",
    "fanout",
]
