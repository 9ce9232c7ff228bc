"""Tools as Protocol Buffers: `loom/tools/v1/tools.proto`. JSON values travel as their text."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from loom_proto import tools_pb2 as pb

from loom.contracts import ErrorCode, ToolCall, ToolDescriptor, ToolFailure, ToolHints, ToolResult

_CODES: dict[str, Any] = {
    name: pb.ErrorCode.Value(f"ERROR_CODE_{name}") for name in get_args(ErrorCode)
}
_NAMES: dict[int, Any] = dict(zip(_CODES.values(), _CODES, strict=True))
_to_json = msgspec.json.Encoder().encode


def read_json(text: bytes, kind: Any, empty: Any) -> Any:
    """The value of *text*, which is of *kind*; *empty* if there is none.

    Raises:
        ValueError: it is not.
    """
    return msgspec.json.decode(text, type=kind) if text else empty


def write_descriptor(tool: ToolDescriptor, wire: pb.ToolDescriptor) -> None:
    """Say in *wire* what *tool* says."""
    wire.name, wire.description = tool.name, tool.description
    wire.parameters = _to_json(tool.parameters)
    wire.version, wire.provider, wire.timeout = tool.version, tool.provider, tool.timeout
    wire.owner = tool.owner
    if tool.result is not None:
        wire.result = _to_json(tool.result)
    hints = tool.hints
    wire.hints.read_only, wire.hints.destructive = hints.read_only, hints.destructive
    wire.hints.idempotent = hints.idempotent
    wire.permissions.extend(tool.permissions)
    wire.labels.extend(tool.labels)
    wire.concurrency, wire.is_prepared = tool.concurrency, tool.is_prepared


def read_descriptor(wire: pb.ToolDescriptor) -> ToolDescriptor:
    """What *wire* says."""
    hints = wire.hints
    return ToolDescriptor(
        name=wire.name,
        description=wire.description,
        parameters=read_json(wire.parameters, dict[str, Any], {}),
        version=wire.version if wire.HasField("version") else "1.0",
        result=read_json(wire.result, dict[str, Any], None),
        provider=wire.provider if wire.HasField("provider") else "native",
        owner=wire.owner,
        timeout=_finite(wire.timeout) if wire.HasField("timeout") else 30.0,
        hints=ToolHints(hints.read_only, hints.destructive, hints.idempotent),
        permissions=tuple(wire.permissions),
        labels=tuple(wire.labels),
        concurrency=wire.concurrency,
        is_prepared=wire.is_prepared,
    )


def write_call(call: ToolCall, wire: pb.ToolCall) -> None:
    """Say in *wire* what *call* says."""
    wire.name, wire.id, wire.version = call.name, call.id, call.version
    wire.timeout, wire.caller, wire.reason = call.timeout, call.caller, call.reason
    if call.arguments:
        wire.arguments = _to_json(dict(call.arguments))


def read_call(wire: pb.ToolCall) -> ToolCall:
    """What *wire* says."""
    arguments = read_json(wire.arguments, dict[str, Any], {})
    timeout = _finite(wire.timeout)
    return ToolCall(wire.name, arguments, wire.id, wire.version, timeout, wire.caller, wire.reason)


def write_result(result: ToolResult, wire: pb.ToolResult) -> None:
    """Say in *wire* what *result* says."""
    wire.id, wire.duration = result.id, result.duration
    wire.code = _CODES[result.code]
    if result.output is not None:
        wire.output = _to_json(result.output)
    if result.error is not None:
        wire.error.message = result.error.message
        if result.error.details:
            wire.error.details = _to_json(result.error.details)


def read_result(wire: pb.ToolResult) -> ToolResult:
    """What *wire* says."""
    error = None
    if wire.HasField("error"):
        details = read_json(wire.error.details, dict[str, Any], {})
        error = ToolFailure(wire.error.message, details)
    output = read_json(wire.output, Any, None)
    return ToolResult(wire.id, _NAMES[wire.code], output, error, _finite(wire.duration))


def _finite(seconds: float) -> float:
    if seconds - seconds != 0:
        raise ValueError(f"{seconds} seconds")
    return seconds
