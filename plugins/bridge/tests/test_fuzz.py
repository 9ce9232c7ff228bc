"""The decoders of frames: whatever comes, it is a frame or a `ProtocolError`, and soon."""

from __future__ import annotations

import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loom.bridge import ProtocolError, codec, encoded, messages, protobuf, text
from loom.bridge.messages import ClientFrame, ServerFrame
from loom.contracts import ToolCall, ToolResult

from workspace import ROOT

CORPUS = Path(__file__).parent / "corpus" / "frames.json"
VECTORS = ROOT / "proto" / "vectors" / "session.json"
TIMES = 20_000 if os.environ.get("LOOM_TEST_LONG") else 300
LONGEST = 1.0
"""Seconds that one frame may take."""
MEMORY = 256 << 10
"""KiB that all of it may add to what the process holds at most."""
DECODERS: dict[str, Callable[[bytes], Any]] = {
    "msgpack-client": codec.decode_client,
    "msgpack-server": codec.decode_server,
    "protobuf-client": protobuf.decode_client,
    "protobuf-server": protobuf.decode_server,
    "json-client": text.decode_client,
    "json-server": text.decode_server,
}
pytestmark = pytest.mark.reliability("S14")
fuzzed = settings(
    max_examples=TIMES, deadline=1000, suppress_health_check=list(HealthCheck), database=None
)
each = pytest.mark.parametrize("decode", list(DECODERS.values()), ids=list(DECODERS))


def corpus() -> Iterator[Any]:
    for case in json.loads(CORPUS.read_text(encoding="utf-8")):
        body = b"".join(bytes.fromhex(part) * count for part, count in case["hex"])
        yield pytest.param(body, id=case["name"].replace(" ", "-"))


def good_frames() -> list[bytes]:
    """Frames as every end writes them, in each of the three forms."""
    found: list[bytes] = []
    for case in json.loads(VECTORS.read_text(encoding="utf-8")):
        body = bytes.fromhex(case["protobuf_hex"])
        found += [body, json.dumps(case["json"]).encode()]
        decode, pack = (
            (protobuf.decode_client, protobuf.pack)
            if case["from"] == "client"
            else (protobuf.decode_server, protobuf.pack)
        )
        frame = decode(body)
        found += [codec.encode(frame), pack(frame)]
    return found


GOOD = good_frames()


def check(decode: Callable[[bytes], Any], body: bytes) -> None:
    begin = time.perf_counter()
    try:
        found = decode(body)
    except ProtocolError as error:
        found = error
    assert time.perf_counter() - begin < LONGEST
    assert isinstance(found, ClientFrame | ServerFrame) or found.code == "INVALID_ARGUMENT"
    assert len(str(found)) < 10_000 or not isinstance(found, ProtocolError)


@pytest.fixture(autouse=True, scope="module")
def _bounded_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


@each
@pytest.mark.parametrize("body", list(corpus()))
def test_what_was_nasty_once_is_refused_or_read(decode: Any, body: bytes) -> None:
    check(decode, body)


@each
@fuzzed
@given(st.binary(max_size=2000))
def test_any_octets(decode: Any, body: bytes) -> None:
    check(decode, body)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good frame with some of it overwritten, cut out, repeated, or another's in its place."""
    body = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(body)))
        until = min(len(body), at + draw(st.integers(0, 40)))
        match draw(st.integers(0, 3)):
            case 0:
                body[at:until] = draw(st.binary(max_size=12))
            case 1:
                del body[at:until]
            case 2:
                body[at:at] = body[at:until] * draw(st.sampled_from([1, 3, 500]))
            case 3:
                body[at:until] = draw(st.sampled_from(GOOD))[at:until]
    return bytes(body)


@each
@fuzzed
@given(damaged())
def test_frames_that_were_damaged(decode: Any, body: bytes) -> None:
    check(decode, body)


VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | st.sampled_from(["publish", "hello", "a.b", "ACTION_OK", "batched"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=20,
)
KINDS = {
    kind.__struct_config__.tag: kind
    for kind in (*messages.ClientMessage.__args__, *messages.ServerMessage.__args__)
}


@st.composite
def wrong(draw: st.DrawFn) -> dict[str, Any]:
    """A frame whose names are right and whose values are anything."""
    said = []
    for kind in draw(st.lists(st.sampled_from(sorted(KINDS)), max_size=4)):
        names = KINDS[kind].__struct_fields__
        chosen = draw(st.lists(st.sampled_from(names), max_size=6)) if names else []
        said.append({"kind": kind} | {name: draw(VALUES) for name in chosen})
    return {"first": draw(VALUES), "seen": draw(VALUES), "messages": said}


@fuzzed
@given(wrong())
def test_values_of_any_kind(frame: dict[str, Any]) -> None:
    body = msgspec.msgpack.encode(frame)
    for name in ("msgpack-client", "msgpack-server"):
        check(DECODERS[name], body)
    for name in ("protobuf-client", "protobuf-server"):
        check(DECODERS[name], b"\x22" + _varint(len(body)) + body)
    written = json.dumps(frame, default=repr).encode()
    for name in ("json-client", "json-server"):
        check(DECODERS[name], written)


def _varint(size: int) -> bytes:
    head = bytearray()
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size])


# -- what cannot be sent ----------------------------------------------------------------------

FORMS: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], ServerFrame]]] = {
    "msgpack": (codec.encode, codec.decode_server),
    "protobuf": (protobuf.encode_server, protobuf.decode_server),
    "packed": (protobuf.pack, protobuf.decode_server),
    "json": (text.encode_server, text.decode_server),
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("value", [object(), "x" * 200_000, [2**70, object()]])
def test_what_cannot_be_sent_is_replaced_and_keeps_its_number(form: str, value: Any) -> None:
    encode, decode = FORMS[form]
    said: list[Any] = [
        messages.Taken(1, 1),
        messages.Result(7, ToolResult("id", output=value)),
        messages.Call(8, ToolCall("x", {"a": value})),
        messages.Taken(2, 2),
    ]
    frames = [decode(body) for body in encoded(ServerFrame(11, 5, said), encode, 100_000)]
    numbers = [frame.first + place for frame in frames for place in range(len(frame.messages))]
    assert numbers == [11, 12, 13, 14]
    told: list[Any] = [message for frame in frames for message in frame.messages]
    first, result, failure, last = told
    assert (first, last) == (messages.Taken(1, 1), messages.Taken(2, 2))
    assert (result.ref, result.result.id, result.result.code) == (7, "id", "ACTION_ERROR")
    assert isinstance(failure, messages.Failure)
    assert not failure.fatal


def test_what_a_client_cannot_send_is_reported() -> None:
    said = ClientFrame(3, 0, [messages.Call(8, ToolCall("x", {"a": object()}))])
    (body,) = encoded(said, codec.encode, 1000)
    frame = codec.decode_client(body)
    assert frame.first == 3
    (report,) = frame.messages
    assert isinstance(report, messages.Report)
    assert "a call could not be sent" in report.details["message"]
