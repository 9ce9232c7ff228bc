"""`loom.memory.v1.MemoryService`: the same operations, as Protocol Buffers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any

import msgspec
from loom.contracts import (
    MEMORY_TOPICS,
    AppendEvent,
    CheckDuplicate,
    CheckExecuted,
    GetExecutionStats,
    GetRecentPlans,
    MarkExecuted,
    MemoryRequest,
    RemoteMethod,
    Retrieve,
    SavePlan,
    SummarizeEpisode,
)
from loom_kernel import LoomError

from loom_plugin_memory.problems import Refusal, Stopped
from loom_plugin_memory.service import Service

SERVICE = "loom.memory.v1.MemoryService"
CODE = "loom_proto.memory.v1.memory_pb2"
STATUS = "EXECUTION_STATUS_"
METHODS: dict[str, type[MemoryRequest]] = {
    kind.__name__: kind
    for kind in (
        SavePlan, GetRecentPlans, CheckDuplicate, MarkExecuted, CheckExecuted, GetExecutionStats,
        AppendEvent, Retrieve, SummarizeEpisode,
    )
}  # fmt: skip
"""A request of the contract has the fields of its message; the answers' names differ."""


def methods(service: Service) -> dict[str, RemoteMethod]:
    """What the bridge serves."""
    return {
        name: RemoteMethod(MEMORY_TOPICS[kind], _answer(service, name, kind))
        for name, kind in METHODS.items()
    }


def _answer(
    service: Service, name: str, kind: type[MemoryRequest]
) -> Callable[[str, bytes], Awaitable[bytes]]:
    async def answer(client: str, body: bytes) -> bytes:
        from loom.bridge import BridgeError, ProtocolError, Refused

        await asyncio.to_thread(import_module, "google.protobuf.json_format")
        try:
            request = read(name, kind, body)
            found = await service.answer(f"client:{client}", request)
        except Refusal as error:
            if error.code == "BUDGET_EXCEEDED":
                raise Refused("RESOURCE_EXHAUSTED", str(error)) from None
            raise ProtocolError("INVALID_ARGUMENT", str(error)) from None
        except Stopped as error:
            raise BridgeError("UNAVAILABLE", str(error)) from None
        except LoomError as error:  # of the disk
            raise BridgeError("INTERNAL", str(error)) from error
        return write(name, found.data)

    return answer


def read(name: str, kind: type[MemoryRequest], body: bytes) -> MemoryRequest:
    """The request that *body*, a message of the method *name*, is.

    Raises:
        Refusal: INVALID_PARAMS, it is none.
    """
    from google.protobuf.json_format import MessageToDict
    from google.protobuf.message import DecodeError
    from loom_proto import memory_pb2

    try:
        message = getattr(memory_pb2, f"{name}Request").FromString(body)
        said = MessageToDict(message, preserving_proto_field_name=True)
        return msgspec.convert(_statuses(said, _from_wire), kind)
    except (DecodeError, msgspec.ValidationError) as error:
        raise Refusal("INVALID_PARAMS", f"no {name}Request: {error}") from None


def write(name: str, answer: msgspec.Struct) -> bytes:
    """*answer* as the message that the method *name* answers with."""
    from google.protobuf.json_format import ParseDict
    from loom_proto import memory_pb2

    message = getattr(memory_pb2, f"{name}Response")()
    ParseDict(_statuses(msgspec.to_builtins(answer), _to_wire), message)
    body: bytes = message.SerializeToString()
    return body


def _from_wire(status: object) -> object:
    """`succeeded` of `EXECUTION_STATUS_SUCCEEDED`."""
    return status.removeprefix(STATUS).lower() if isinstance(status, str) else status


def _to_wire(status: object) -> object:
    return f"{STATUS}{str(status).upper()}"


def _statuses(value: Any, change: Callable[[object], object]) -> Any:
    """*value* with every execution's status changed; texts named `status` in metadata are not."""
    if isinstance(value, list):
        return [_statuses(one, change) for one in value]
    if not isinstance(value, Mapping):
        return value
    changed: dict[str, Any] = {}
    for key, one in value.items():
        if key == "status":
            changed[key] = change(one)
        else:
            changed[key] = one if key in ("metadata", "filters") else _statuses(one, change)
    return changed
