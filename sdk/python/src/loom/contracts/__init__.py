"""What plugins agree on: the messages they exchange and the services they offer each other.

Messages are `msgspec` structs. In process they travel as they are; whoever receives one from a
boundary reads it with `read`, which validates it once.
"""

from __future__ import annotations

from loom.contracts.agents import AgentDefinition, AgentRecord, Agents, AgentState
from loom.contracts.hosts import ActionSink, EventSource, HostAdapter
from loom.contracts.messages import read
from loom.contracts.tools import (
    BROKER,
    ErrorCode,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolFailure,
    ToolHints,
    ToolResult,
)

__all__ = [
    "BROKER",
    "ActionSink",
    "AgentDefinition",
    "AgentRecord",
    "AgentState",
    "Agents",
    "ErrorCode",
    "EventSource",
    "HostAdapter",
    "ToolCall",
    "ToolDescriptor",
    "ToolError",
    "ToolFailure",
    "ToolHints",
    "ToolResult",
    "read",
]
