"""Thinking: strategies, working memory and context engineering around a model that may act.

The brain is here, in the agent's process; the hands are the runtime's tools, called through the
broker with the agent's grants, budget and labels, whatever the model says.
"""

from __future__ import annotations

from loom.cognition.agent import CognitiveAgent
from loom.cognition.asking import Part
from loom.cognition.context import (
    ContextRanker,
    DataOffloader,
    Offloaded,
    OutputGone,
    Piece,
    StepCompactor,
    StepReducer,
    TokenWindow,
    WindowTooSmall,
)
from loom.cognition.fences import fenced
from loom.cognition.memory import MemoryEntry, WorkingMemory
from loom.cognition.mind import Mind
from loom.cognition.records import (
    Action,
    CognitiveConfig,
    CognitiveResult,
    CognitiveStats,
    Failure,
    ThinkingStrategy,
    ThoughtStep,
)

__all__ = [
    "Action",
    "CognitiveAgent",
    "CognitiveConfig",
    "CognitiveResult",
    "CognitiveStats",
    "ContextRanker",
    "DataOffloader",
    "Failure",
    "MemoryEntry",
    "Mind",
    "Offloaded",
    "OutputGone",
    "Part",
    "Piece",
    "StepCompactor",
    "StepReducer",
    "ThinkingStrategy",
    "ThoughtStep",
    "TokenWindow",
    "WindowTooSmall",
    "WorkingMemory",
    "fenced",
]
