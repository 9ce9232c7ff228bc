"""What the end of an RPC means for the call of a tool."""

from __future__ import annotations

import grpc
from loom.contracts import ErrorCode, ToolDescriptor, ToolError

Status = grpc.StatusCode

_CODES: dict[Status, ErrorCode] = {
    Status.UNIMPLEMENTED: "CAPABILITY_ERROR",
    Status.INVALID_ARGUMENT: "INVALID_PARAMS",
    Status.PERMISSION_DENIED: "PERMISSION_DENIED",
}
"""All others are ACTION_ERROR."""


def explain(plugin: str, tool: ToolDescriptor, error: grpc.aio.AioRpcError) -> ToolError:
    """What to tell the caller of *tool* that ended with *error*."""
    if error.code() is Status.UNAVAILABLE:
        return lost(plugin, tool)
    if error.code() is Status.DEADLINE_EXCEEDED:
        return ToolError(tool.name, "ACTION_TIMEOUT", "not done in its time; it was cancelled")
    code = _CODES.get(error.code(), "ACTION_ERROR")
    return ToolError(tool.name, code, f"{plugin!r} answered {reason_of(error)}")


def lost(plugin: str, tool: ToolDescriptor) -> ToolError:
    """The plugin ended while it ran *tool*: nobody knows how far it came.

    That matters only if calling it twice is not the same as calling it once.
    """
    if tool.hints.idempotent or tool.hints.read_only:
        message = f"{plugin!r} ended during the call, which may be made again"
        return ToolError(tool.name, "PROVIDER_UNAVAILABLE", message)
    message = f"{plugin!r} ended during the call: look what it did before you call it again"
    return ToolError(tool.name, "OUTCOME_UNKNOWN", message)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """What an RPC ended with, for people."""
    said = (error.details() or "no reason was given")[:500]
    return f"{error.code().name}: {said}"
