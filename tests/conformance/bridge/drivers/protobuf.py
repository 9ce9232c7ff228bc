"""A client that has gRPC and the classes generated from `proto/`, as any language has them."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from loom_proto import bridge_pb2 as pb
from loom_proto import tools_pb2

from tests.conformance.bridge.drivers.byhand import HandClient
from tests.conformance.bridge.drivers.lines import run

Json = dict[str, Any]
METHOD = "/loom.bridge.v1.BridgeService/Session"
CUT = (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError)
"""What reading and writing raise once the stream is over."""
QOS = {"realtime": pb.QOS_REALTIME, "batched": pb.QOS_BATCHED, "background": pb.QOS_BACKGROUND}


class GrpcLine:
    """One message of the stream a frame."""

    def __init__(self) -> None:
        self._channel: grpc.aio.Channel | None = None
        self._call: Any = None
        self._sending = asyncio.Lock()

    async def open(self, address: str) -> None:
        target = address.replace("grpc+unix://", "unix:").replace("grpc://", "")
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(target, options=options)
        self._call = self._channel.stream_stream(
            METHOD,
            request_serializer=pb.SessionRequest.SerializeToString,
            response_deserializer=pb.SessionResponse.FromString,
        )()
        try:
            async with asyncio.timeout(5):
                await self._call.initial_metadata()
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            await self.close()
            raise ConnectionError(str(error)) from None

    async def send(self, frame: Json) -> None:
        request = pb.SessionRequest(first=frame.get("first", 0), seen=frame.get("seen", 0))
        for message in frame["messages"]:
            write(message, request.messages.add())
        try:
            async with self._sending:
                await self._call.write(request)
        except CUT as error:
            raise ConnectionError(str(error)) from None

    async def receive(self) -> Json:
        try:
            response = await self._call.read()
        except CUT as error:
            raise ConnectionError(str(error)) from None
        if response is grpc.aio.EOF:
            raise ConnectionError("the stream is over")
        messages = [read(message) for message in response.messages]
        return {"first": response.first, "seen": response.seen, "messages": messages}

    async def close(self) -> None:
        if self._call is not None and not self._call.done():
            try:
                async with asyncio.timeout(1):
                    await self._call.done_writing()
                    await self._call.code()  # the server ends the stream, when it has read all
            except (*CUT, TimeoutError):
                self._call.cancel()
        if self._channel is not None:
            await self._channel.close()


# -- the messages of the kit, as Protocol Buffers ---------------------------------------------


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def write(message: Json, slot: pb.ClientMessage) -> None:
    """Say in *slot* what *message* says."""
    values = dict(message)
    kind = values.pop("kind")
    wire = getattr(slot, kind)
    wire.SetInParent()
    if kind == "publish":
        _write_content(values, wire)
    elif kind == "offer":
        for tool in values.pop("tools"):
            wire.tools.add(**tool | {"parameters": to_json(tool["parameters"])})
    elif kind == "call":
        call = values.pop("call")
        wire.call.name, wire.call.arguments = call["name"], to_json(call["arguments"])
    elif kind == "result":
        _write_result(values.pop("result"), wire.result)
    elif kind == "ack":
        for first, last in values.pop("ranges"):
            wire.ranges.add(first=first, last=last)
    elif "qos" in values:
        values["qos"] = QOS[values["qos"]]
    wire.MergeFrom(type(wire)(**values))


def _write_content(values: Json, wire: pb.Publish) -> None:
    if "data_base64" in values:
        wire.data = base64.b64decode(values.pop("data_base64"))
    else:
        wire.payload = to_json(values.pop("data"))
    if budget := values.get("fields", {}).pop("budget", None):
        wire.fields.budget.amounts.update(budget)


def _write_result(result: Json, wire: tools_pb2.ToolResult) -> None:
    wire.id = result["id"]
    code: Any = tools_pb2.ErrorCode.Value(f"ERROR_CODE_{result['code']}")
    wire.code = code
    if "error" in result:
        wire.error.message = result["error"]["message"]
    else:
        wire.output = to_json(result["output"])


def read(slot: pb.ServerMessage) -> Json:
    """What *slot* says, under the names of the kit."""
    kind = slot.WhichOneof("kind") or ""
    wire = getattr(slot, kind)
    said: Json = {"kind": kind}
    if kind == "deliver":
        return said | {"sub": wire.sub, "number": wire.number, "event": _event(wire.event)}
    if kind == "call":
        call = wire.call
        arguments = json.loads(call.arguments or b"{}")
        told = {"id": call.id, "name": call.name, "caller": call.caller, "arguments": arguments}
        return said | {"ref": wire.ref, "call": told}
    if kind == "result":
        result = wire.result
        code = tools_pb2.ErrorCode.Name(result.code).removeprefix("ERROR_CODE_")
        output = json.loads(result.output or b"null")
        return said | {"ref": wire.ref, "result": {"code": code, "output": output}}
    if kind == "failure":
        said["code"] = pb.FailureCode.Name(wire.code).removeprefix("FAILURE_CODE_")
        return said | {"about": wire.about, "fatal": wire.fatal, "message": wire.message}
    return said | {field.name: getattr(wire, field.name) for field in wire.DESCRIPTOR.fields}


def _event(wire: Any) -> Json:
    event: Json = MessageToDict(
        wire, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for field in ("payload", "binary"):
        event.pop(field, None)
    for field, default in (("priority", 50), ("confidence", 1.0), ("ttl", 16)):
        event.setdefault(field, default)
    event["budget"] = event["budget"]["amounts"] if "budget" in event else None
    if wire.binary:
        event["data_base64"] = base64.b64encode(wire.payload).decode()
    else:
        event["data"] = json.loads(wire.payload or b"null")
    return event


if __name__ == "__main__":
    run(lambda: HandClient(GrpcLine))
