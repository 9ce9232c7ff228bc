"""A frame as Protocol Buffers says what the frame says: each way, for every kind of message."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loom.bridge import ProtocolError, codec, messages
from loom.bridge.messages import ClientFrame, Deliver, Publish, ServerFrame
from loom.bridge.protobuf import (
    decode_client,
    decode_server,
    encode_client,
    encode_server,
    is_packed,
    pack,
)
from loom.contracts import ErrorCode, ToolCall, ToolDescriptor, ToolFailure, ToolHints, ToolResult
from loom_kernel import Envelope
from loom_proto import bridge_pb2 as pb
from loom_proto import tools_pb2 as tools_pb

VECTORS = Path(__file__).resolve().parents[3] / "proto" / "vectors" / "session.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))

count = st.integers(0, 2**64 - 1)
small = st.integers(0, 2**32 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=12)
texts = st.lists(words, max_size=3)
maps = st.dictionaries(words, words, max_size=3)
amounts = st.dictionaries(words, numbers, max_size=3)
octets = st.binary(max_size=40)
whole = st.integers(-(2**63), 2**63 - 1)
values = st.recursive(
    st.none() | st.booleans() | whole | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(words, values, max_size=3)
fields = st.fixed_dictionaries(
    {},
    optional={
        "subject": words,
        "priority": small,
        "confidence": numbers,
        "tags": st.lists(words, min_size=1, max_size=3),
        "metadata": st.dictionaries(words, words, min_size=1, max_size=3),
        "content_type": words,
        "reply_to": words,
        "thread_id": words,
        "correlation_id": words,
        "labels": st.lists(words, min_size=1, max_size=3),
        "ttl": small,
        "budget": amounts,
        "expires": numbers,
    },
)
hints = st.builds(ToolHints, st.booleans(), st.booleans(), st.booleans())
several = st.lists(words, max_size=3).map(tuple)
descriptors = st.builds(
    ToolDescriptor, words, words, objects, words, st.none() | objects, words, words, numbers,
    hints, several, several, st.integers(0, 2**32 - 1), st.booleans(),
)  # fmt: skip
calls = st.builds(ToolCall, words, objects, words, words, numbers, words, words)
failures = st.builds(ToolFailure, words, objects)
codes = st.sampled_from(get_args(ErrorCode))
results = st.builds(ToolResult, words, codes, values, st.none() | failures, numbers)
both = (
    st.builds(messages.Call, count, calls, count)
    | st.builds(messages.Result, count, results)
    | st.builds(messages.Cancel, count)
)
publishes = st.builds(
    lambda content, **other: Publish(**content, **other),
    content=st.builds(lambda text: {"payload": text}, octets)
    | st.builds(lambda data: {"data": data}, octets)
    | st.just({}),
    topic=words,
    type=words,
    cause=count,
    confirm=st.booleans(),
    fields=st.none() | fields,
)
from_client = (
    st.builds(messages.Hello, words, words, small, words, words, words, count, maps)
    | st.builds(
        messages.Subscribe, count, texts.map(tuple),
        st.sampled_from(["realtime", "batched", "background"]), words, count, texts.map(tuple),
        words, count,
    )
    | st.builds(messages.Unsubscribe, count, texts.map(tuple))
    | publishes
    | st.builds(messages.Ack, st.lists(st.tuples(count, count), max_size=3), count)
    | st.builds(messages.Offer, st.lists(descriptors, max_size=2).map(tuple))
    | st.builds(messages.Report, st.sampled_from(["error", "request.timed_out"]), objects)
    | st.just(messages.Bye())
    | both
)  # fmt: skip
envelopes = st.builds(
    lambda content, **other: Envelope(**content, **other),
    content=st.builds(lambda data: {"_data": data}, octets)
    | st.builds(lambda value: {"_payload": msgspec.json.encode(value)}, values),
    type=words.filter(bool),
    source=words,
    time=st.floats(0, 2**35),
    topic=words,
    sender=words,
    number=st.integers(0, 2**62 - 1),
    subject=words,
    causation_id=words,
    ttl=st.integers(0, 16),
    hop=st.integers(0, 16),
    labels=st.frozensets(words, max_size=3),
    budget=st.none() | amounts,
    content_type=words,
    metadata=maps,
    tags=texts.map(tuple),
    priority=st.integers(0, 100),
    confidence=st.floats(0, 1),
    expires=st.floats(0, 2**35),
    dropped_before=count,
    _thread_id=words,
    _correlation_id=words,
    _reply_to=words,
)
delivers = st.builds(Deliver, whole, envelopes, count, st.booleans())
fatal = st.sampled_from(get_args(messages.FailureCode))
from_server = (
    st.builds(
        messages.Welcome, words, words, count, words, st.booleans(), count, numbers, numbers,
        numbers, count, count,
    )
    | st.builds(messages.Taken, count, count)
    | st.builds(messages.Failure, fatal, words, count, st.booleans(), maps)
    | both
)  # fmt: skip
client_frames = st.builds(ClientFrame, count, count, st.lists(from_client, max_size=3))
server_frames = st.builds(ServerFrame, count, count, st.lists(from_server, max_size=3))


def said(frame: Any) -> list[Any]:
    """What *frame* says, its events by all their names rather than by their parts."""
    return [
        (one.sub, one.number, one.again, one.event.number, json.loads(one.event.to_json()))
        if isinstance(one, Deliver)
        else one
        for one in frame.messages
    ]


@given(client_frames)
def test_a_clients_frame_survives(frame: ClientFrame) -> None:
    assert decode_client(encode_client(frame)) == frame


@given(server_frames)
def test_a_servers_frame_survives(frame: ServerFrame) -> None:
    assert decode_server(encode_server(frame)) == frame


@given(delivers)
def test_an_event_survives_with_every_name(message: Deliver) -> None:
    frame = ServerFrame(1, 2, [message])
    assert said(decode_server(encode_server(frame))) == said(frame)


@given(client_frames)
def test_a_packed_frame_of_a_client_survives(frame: ClientFrame) -> None:
    assert is_packed(pack(frame))
    assert decode_client(pack(frame)) == decode_client(encode_client(frame))
    assert pb.SessionRequest.FromString(pack(frame)).packed == codec.encode(frame)


@given(server_frames | st.builds(lambda one: ServerFrame(1, 2, [one]), delivers))
def test_a_packed_frame_of_a_server_survives(frame: ServerFrame) -> None:
    assert said(decode_server(pack(frame))) == said(frame)


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda rest: b"\x22" + rest))
def test_any_bytes_are_a_frame_or_refused(body: bytes) -> None:
    for decode in (decode_client, decode_server):
        with suppress(ProtocolError):
            decode(body)


@given(server_frames, st.data())
def test_a_damaged_frame_is_a_frame_or_refused(frame: ServerFrame, data: st.DataObject) -> None:
    body = bytearray(encode_server(frame) or b"\0")
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ProtocolError):
        decode_server(bytes(body))


def test_a_full_event_spares_its_reader_every_derivation() -> None:
    event = Envelope("t", "loom://here/me", 1700000000.5, "t", _payload=b"1", sender="me", number=7)
    sent = pb.SessionResponse.FromString(encode_server(ServerFrame(1, 0, [Deliver(1, event)])))
    wire = sent.messages[0].deliver.event
    derived = (wire.id, wire.thread_id, wire.correlation_id, wire.reply_to, wire.traceparent)
    assert derived == (
        event.id, event.thread_id, event.correlation_id, event.reply_to, event.traceparent,
    )  # fmt: skip
    assert (wire.priority, wire.confidence, wire.ttl) == (50, 1.0, 16)


def publish(**fields: Any) -> pb.ClientMessage:
    return pb.ClientMessage(publish=pb.Publish(topic="t", fields=pb.PublishFields(**fields)))


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (pb.ClientMessage(), "unknown kind or value None"),
        (pb.ClientMessage(subscribe=pb.Subscribe(qos=9)), "unknown kind or value 9"),  # type: ignore[arg-type]  # a newer client's
        (pb.ClientMessage(report=pb.Report(about="ready")), "a report about 'ready'"),
        (pb.ClientMessage(report=pb.Report(about="error", details=b"[")), "not a frame"),
        (pb.ClientMessage(report=pb.Report(about="error", details=b"[]")), "Expected `object`"),
        (pb.ClientMessage(call=pb.Call(call=tools_pb.ToolCall(arguments=b"1"))), "Expected"),
        (pb.ClientMessage(call=pb.Call(call=tools_pb.ToolCall(timeout=math.inf))), "inf seconds"),
        (pb.ClientMessage(result=pb.Result(ref=1)), "unknown kind or value 0"),
        (publish(expires=math.nan), "nan among the fields"),
        (publish(confidence=math.inf), "inf among the fields"),
        (publish(budget={"amounts": {"usd": math.inf}}), "inf among the fields"),
    ],
)
def test_what_is_no_frame_of_a_client_is_refused(message: pb.ClientMessage, complaint: str) -> None:
    body = pb.SessionRequest(messages=[message]).SerializeToString()
    with pytest.raises(ProtocolError, match=complaint) as refused:
        decode_client(body)
    assert refused.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "body", [b"\x22", b"\x22\x05a", b"\x22\xff\xff\xff\xff\xff\xff", b"\x22\0"]
)
def test_a_packed_frame_that_is_cut_off_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_client(body)


@pytest.mark.parametrize("window", [-1, 2**64])
def test_a_number_without_a_place_is_not_sent(window: int) -> None:
    frame = ClientFrame(messages=[messages.Subscribe(1, ("a",), window=window)])
    with pytest.raises(ProtocolError, match="cannot be sent"):
        encode_client(frame)


# -- golden vectors ---------------------------------------------------------------------------

Ends = tuple[Callable[[bytes], Any], Callable[[Any], bytes], Callable[[bytes], Any]]
ENDS: dict[str, Ends] = {
    "client": (decode_client, encode_client, codec.decode_client),
    "server": (decode_server, encode_server, codec.decode_server),
}
each = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


@pytest.mark.feature("BRG-01")
@each
def test_a_frame_is_the_bytes_of_its_vector(case: dict[str, Any]) -> None:
    decode, encode, unpack = ENDS[case["from"]]
    frame = decode(bytes.fromhex(case["protobuf_hex"]))
    plain = bytes.fromhex(case["msgpack_hex"])
    assert said(frame) == said(unpack(plain))
    assert plain_of(unpack(plain)) == case["json"]
    assert encode(frame) == bytes.fromhex(case["protobuf_hex"])
    assert encode(unpack(plain)) == bytes.fromhex(case["protobuf_hex"])
    assert decode(pack(unpack(plain))) == unpack(plain)


@pytest.mark.feature("BRG-01")
def test_there_is_a_vector_of_every_message() -> None:
    shown = {one["kind"] for case in CASES for one in case["json"].get("messages", ())}
    kinds = (*get_args(messages.ClientMessage), *get_args(messages.ServerMessage))
    assert shown == {kind.__struct_config__.tag for kind in kinds}


def plain_of(frame: Any) -> Any:
    """*frame* as the JSON object that a WebSocket carries."""
    record = msgspec.to_builtins(msgspec.structs.replace(frame, messages=[]))
    if frame.messages:
        record["messages"] = [plain_message(one) for one in frame.messages]
    return json.loads(msgspec.json.encode(record))


def plain_message(message: Any) -> Any:
    if isinstance(message, Deliver):
        record: dict[str, Any] = {"kind": "deliver", "sub": message.sub}
        if message.number:
            record["number"] = message.number
        record["event"] = json.loads(message.event.to_json())
        return record | ({"again": True} if message.again else {})
    record = msgspec.to_builtins(message)
    if isinstance(message, Publish):
        if "data" in record:
            record["data_base64"] = record.pop("data")
        elif message.payload is not msgspec.UNSET:
            del record["payload"]
            record["data"] = json.loads(message.payload)
    return record
