"""What plugins agree on: the messages they exchange and the services they offer each other.

Messages are `msgspec` structs. In process they travel as they are; whoever receives one from a
boundary reads it with `read`, which validates it once.
"""

from __future__ import annotations

from loom.contracts.agents import (
    AgentDefinition,
    AgentKind,
    AgentRecord,
    Agents,
    AgentState,
    AgentStatus,
    Mailboxes,
    Member,
)
from loom.contracts.approvals import (
    Approval,
    Approvals,
    ApprovalState,
    Capsule,
    Decision,
    Permits,
    Preparation,
    canonical,
)
from loom.contracts.audits import Audit
from loom.contracts.bridges import Bridge, Ticket
from loom.contracts.budgets import BudgetExceeded, Budgets
from loom.contracts.collaboration import (
    AwardNotice,
    BarrierStep,
    Bid,
    CallForProposals,
    Contract,
    Outcome,
    Rejection,
    ReplyShortage,
    Settlement,
    Summary,
)
from loom.contracts.deliveries import (
    Effect,
    Effects,
    HandlerTimeout,
    Journal,
    Reject,
    Retry,
)
from loom.contracts.hosts import ActionSink, EventSource, HostAdapter
from loom.contracts.messages import read
from loom.contracts.runs import RUN_FORMAT, CalledTool, Emission, Handling, RunHeader
from loom.contracts.sandboxes import Command, Confinement, Sandbox
from loom.contracts.tools import (
    BROKER,
    GO_ON,
    HALT,
    SEARCH,
    ErrorCode,
    Provider,
    RemoteTools,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolFailure,
    ToolHints,
    ToolOrder,
    ToolProgress,
    ToolResult,
    Tools,
)

__all__ = [
    "BROKER",
    "GO_ON",
    "HALT",
    "RUN_FORMAT",
    "SEARCH",
    "ActionSink",
    "AgentDefinition",
    "AgentKind",
    "AgentRecord",
    "AgentState",
    "AgentStatus",
    "Agents",
    "Approval",
    "ApprovalState",
    "Approvals",
    "Audit",
    "AwardNotice",
    "BarrierStep",
    "Bid",
    "Bridge",
    "BudgetExceeded",
    "Budgets",
    "CallForProposals",
    "CalledTool",
    "Capsule",
    "Command",
    "Confinement",
    "Contract",
    "Decision",
    "Effect",
    "Effects",
    "Emission",
    "ErrorCode",
    "EventSource",
    "HandlerTimeout",
    "Handling",
    "HostAdapter",
    "Journal",
    "Mailboxes",
    "Member",
    "Outcome",
    "Permits",
    "Preparation",
    "Provider",
    "Reject",
    "Rejection",
    "RemoteTools",
    "ReplyShortage",
    "Retry",
    "RunHeader",
    "Sandbox",
    "Settlement",
    "Summary",
    "Ticket",
    "ToolCall",
    "ToolDescriptor",
    "ToolError",
    "ToolFailure",
    "ToolHints",
    "ToolOrder",
    "ToolProgress",
    "ToolResult",
    "Tools",
    "canonical",
    "read",
]
