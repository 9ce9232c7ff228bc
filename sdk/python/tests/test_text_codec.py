"""A frame as JSON says what the frame says: the golden vectors, and whatever else comes."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom.bridge import ProtocolError
from loom.bridge.messages import Call, ClientFrame, Deliver, Publish, ServerFrame
from loom.bridge.text import TextEvent, decode_client, decode_server, encode_client, encode_server
from loom.contracts import ToolCall
from loom_kernel import Envelope
from msgspec import UNSET

VECTORS = Path(__file__).resolve().parents[3] / "proto" / "vectors"
CASES: list[dict[str, Any]] = json.loads((VECTORS / "session.json").read_text("utf-8"))
EVENTS: list[dict[str, Any]] = json.loads((VECTORS / "envelope.json").read_text("utf-8"))


@pytest.mark.feature("BRG-07")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_frame_reads_and_prints_as_its_vector(case: dict[str, Any]) -> None:
    text = json.dumps(case["json"])
    if case["from"] == "client":
        printed = encode_client(decode_client(text))
    else:
        printed = encode_server(decode_server(text))
    assert json.loads(printed) == case["json"]


@pytest.mark.feature("ENV-01")
@pytest.mark.parametrize("case", EVENTS, ids=lambda case: case["name"])
def test_an_event_reads_and_prints_as_its_vector(case: dict[str, Any]) -> None:
    text = json.dumps({"messages": [{"kind": "deliver", "sub": 1, "event": case["json"]}]})
    frame = decode_server(text)
    (message,) = frame.messages
    assert isinstance(message, Deliver)
    assert json.loads(message.event.to_json()) == case["json"]
    assert json.loads(encode_server(frame))["messages"][0]["event"] == case["json"]


def test_every_name_of_an_envelope_is_there() -> None:
    names = {field.name for field in msgspec.structs.fields(TextEvent)}
    assert names == {name for case in EVENTS for name in case["json"]}


def test_a_payload_is_passed_on_byte_for_byte() -> None:
    text = b'{ "big": 12345678901234567890123, "x": 1.10 }'
    sent = decode_client(encode_client(ClientFrame(messages=[Publish("t", text)])))
    assert sent.messages == [Publish("t", text)]
    event = Envelope("t", "", 1.0, "t", _payload=text)
    told = decode_server(encode_server(ServerFrame(messages=[Deliver(0, event, 7)])))
    (message,) = told.messages
    assert isinstance(message, Deliver)
    assert (message.event.payload, message.number) == (text, 7)


def test_octets_are_octets() -> None:
    frame = ClientFrame(messages=[Publish("t", data=b"\0\xff")])
    assert json.loads(encode_client(frame))["messages"][0]["data_base64"] == "AP8="
    assert decode_client(encode_client(frame)) == frame


def test_who_publishes_nothing_publishes_null() -> None:
    frame = decode_client('{"messages":[{"kind":"publish","topic":"t"}]}')
    assert frame.messages == [Publish("t", b"null")]


@pytest.mark.parametrize("payload", [b'{"a":', b'"\xff"', b"", b"1 2"])
def test_what_is_no_json_spoils_one_event_and_not_the_frame(payload: bytes) -> None:
    sent = decode_client(
        encode_client(ClientFrame(messages=[Publish("t", payload), Publish("u", b"1")]))
    )
    bad, good = sent.messages
    assert isinstance(bad, Publish)
    assert bad.payload is not UNSET
    assert bad.data is not UNSET  # with both, the server refuses it
    assert good == Publish("u", b"1")
    event = Envelope("t", "", 1.0, "t", _payload=payload or b" ")
    told = decode_server(encode_server(ServerFrame(messages=[Deliver(0, event)])))
    (message,) = told.messages
    assert isinstance(message, Deliver)
    assert message.event.data == (payload or b" ")


def test_what_has_no_json_form_is_told() -> None:
    frame = ClientFrame(messages=[Call(1, ToolCall("t", {"a": object()}))])
    with pytest.raises(ProtocolError, match="cannot be sent as JSON"):
        encode_client(frame)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "truncated"),
        ("[]", "Expected `object`"),
        ('{"messages":[{"kind":"shout"}]}', "Invalid value 'shout' - at `$.messages[0].kind`"),
        ('{"messages":[{"kind":"publish"}]}', "missing required field `topic`"),
        ('{"messages":[{"kind":"publish","topic":"t","data_base64":"?"}]}', "Invalid base64"),
        ('{"messages":[{"kind":"publish","topic":"t","data":NaN}]}', "malformed"),
        ('{"messages":[{"kind":"ack","ranges":[[1]]}]}', "Expected `array` of length 2"),
        (f'{{"messages":{"[" * 100_000}', "not a client's frame"),
    ],
)
def test_what_is_no_frame_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        decode_client(text)
    assert complaint in str(refused.value)
    assert refused.value.code == "INVALID_ARGUMENT"


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_anything_is_a_frame_or_refused(body: bytes | str) -> None:
    for decode in (decode_client, decode_server):
        with suppress(ProtocolError):
            decode(body)


@given(st.sampled_from(CASES), st.data())
def test_a_damaged_frame_is_a_frame_or_refused(case: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(json.dumps(case["json"]).encode())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    for decode, encode in ((decode_client, encode_client), (decode_server, encode_server)):
        with suppress(ProtocolError):
            encode(decode(bytes(body)))  # type: ignore[arg-type]  # each pair fits
