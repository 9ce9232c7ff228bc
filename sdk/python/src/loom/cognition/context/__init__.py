"""Context engineering: what of all that happened a model is told, and in how many tokens."""

from __future__ import annotations

from loom.cognition.context.assembly import Prompt, Turn, WindowTooSmall
from loom.cognition.context.compaction import Line, StepCompactor
from loom.cognition.context.offloading import DataOffloader, Offloaded, OutputGone
from loom.cognition.context.ranking import ContextRanker, Piece
from loom.cognition.context.reducing import Reducer, StepReducer
from loom.cognition.context.windows import TokenWindow

__all__ = [
    "ContextRanker",
    "DataOffloader",
    "Line",
    "Offloaded",
    "OutputGone",
    "Piece",
    "Prompt",
    "Reducer",
    "StepCompactor",
    "StepReducer",
    "TokenWindow",
    "Turn",
    "WindowTooSmall",
]
