"""Golden session frames: the generated code reads and writes what the JSON object says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from loom_proto import bridge_pb2 as pb

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "session.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))
FRAMES: dict[str, Any] = {"client": pb.SessionRequest, "server": pb.SessionResponse}
each = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


def read(case: dict[str, Any]) -> Any:
    return FRAMES[case["from"]].FromString(bytes.fromhex(case["protobuf_hex"]))


@pytest.mark.feature("BRG-01")
@each
def test_a_frame_says_what_its_json_says(case: dict[str, Any]) -> None:
    frame, said = read(case), case["json"]
    assert (frame.first, frame.seen) == (said.get("first", 0), said.get("seen", 0))
    assert len(frame.messages) == len(said.get("messages", ()))
    for message, record in zip(frame.messages, said.get("messages", ()), strict=True):
        kind = message.WhichOneof("kind")
        assert kind == record["kind"]
        compare(getattr(message, kind), record)


def compare(message: Any, record: dict[str, Any]) -> None:
    """Every number, flag and plain text of *record* is in the field of the same name."""
    for name, value in record.items():
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None or field.message_type or field.enum_type or name in ("data", "payload"):
            continue
        if isinstance(value, str | bool | int | float) and field.type != field.TYPE_BYTES:
            assert getattr(message, name) == value, name


@each
def test_a_frame_is_written_as_it_was(case: dict[str, Any]) -> None:
    newer = bytes.fromhex(case["protobuf_hex"]) + b"\xfa\x3f\x05later"  # field 1023, a text
    assert FRAMES[case["from"]].FromString(newer).SerializeToString() == newer


def test_an_event_has_every_name() -> None:
    (case,) = [case for case in CASES if case["name"] == "events that are delivered"]
    (first, *_), (said, *_) = read(case).messages, case["json"]["messages"]
    event = first.deliver.event
    assert first.deliver.number == said["number"]
    compare(event, said["event"])
    assert json.loads(event.payload) == said["event"]["data"]


def test_every_kind_has_a_vector() -> None:
    shown = {one["kind"] for case in CASES for one in case["json"].get("messages", ())}
    kinds = {
        field.name
        for message in (pb.ClientMessage, pb.ServerMessage)
        for field in message.DESCRIPTOR.fields
    }
    assert shown == kinds
