"""The JSON object and the message of an envelope make each other, as the golden vectors say."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom_proto import InvalidMessage, decode, encode
from loom_proto.events.v1.events_pb2 import Budget, Envelope

HERE = Path(__file__).resolve().parents[1]
VECTORS = HERE / "vectors" / "envelope.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))
PLAIN: dict[str, Any] = CASES[0]["json"]

numbers = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
each = pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])


@pytest.mark.feature("ENV-01")
@each
def test_a_record_becomes_the_message_of_its_vector(case: dict[str, Any]) -> None:
    assert b64encode(encode(case["json"])).decode() == case["protobuf_base64"]


@pytest.mark.feature("ENV-01")
@each
def test_a_message_becomes_the_record_of_its_vector(case: dict[str, Any]) -> None:
    assert decode(b64decode(case["protobuf_base64"])) == case["json"]


@pytest.mark.feature("ENV-01")
def test_the_schema_uses_the_reserved_names() -> None:
    sent = {field.name for field in Envelope.DESCRIPTOR.fields}
    assert sent - {"payload", "binary"} == PLAIN.keys() - {"data", "ts"}


@given(values)
def test_any_data_survives(value: Any) -> None:
    assert decode(encode({**PLAIN, "data": value}))["data"] == value


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), numbers) | st.none())
def test_any_map_survives(metadata: dict[str, str], budget: dict[str, float] | None) -> None:
    record = decode(encode({**PLAIN, "metadata": metadata, "budget": budget}))
    assert (record["metadata"], record["budget"]) == (metadata, budget)


@given(st.binary())
def test_any_bytes_are_a_record_or_refused(message: bytes) -> None:
    try:
        record = decode(message)
    except InvalidMessage:
        return
    assert decode(encode(record)) == record


def test_a_name_left_out_takes_its_default() -> None:
    left_out = decode(b"")
    assert left_out == decode(encode({}))
    same = PLAIN.keys() - {name for name in PLAIN if PLAIN[name] != left_out[name]}
    assert {"data", "priority", "confidence", "ttl", "hop", "budget", "labels"} <= same


def test_no_budget_is_not_an_empty_one() -> None:
    assert decode(encode({**PLAIN, "budget": None}))["budget"] is None
    assert decode(encode({**PLAIN, "budget": {}}))["budget"] == {}


def test_a_field_of_a_newer_schema_survives_in_the_message() -> None:
    newer = encode(PLAIN) + b"\xfa\x3f\x05later"  # field 1023, a text
    assert decode(newer) == PLAIN
    assert Envelope.FromString(newer).SerializeToString(deterministic=True) == newer


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"payload": b"x"}, "'payload' is not a name"),
        ({"threadId": "x"}, "'threadId' is not a name"),
        ({"topic": 3}, "topic cannot be 3"),
        ({"priority": "50"}, "priority cannot be '50'"),
        ({"hop": -1}, "hop cannot be -1"),
        ({"metadata": {"a": 1}}, "metadata cannot be"),
        ({"labels": [1]}, "labels cannot be"),
        ({"budget": {"usd": "1"}}, "budget cannot be"),
        ({"subject": "\ud800"}, "subject cannot be"),
        ({"data": {1, 2}}, "not JSON serializable"),
        ({"data": math.nan}, "not JSON compliant"),
        ({"data_base64": "a"}, "data has no form as bytes"),
        ({"data_base64": "!!!!"}, "data has no form as bytes"),
        ({"time": math.inf}, "time in milliseconds is inf"),
        ({"time": 1e308}, "time in milliseconds is inf"),
        ({"confidence": math.nan}, "confidence is nan"),
        ({"budget": {"usd": math.inf}}, "budget of usd is inf"),
    ],
)
def test_what_is_no_envelope_is_refused(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidMessage, match=complaint):
        encode({**PLAIN, **changed})


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (b"\xff", "not an envelope"),
        (Envelope(payload=b"{").SerializeToString(), "not an envelope"),
        (Envelope(payload=b"\xff").SerializeToString(), "not an envelope"),
        (Envelope(payload=b"NaN").SerializeToString(), "holds NaN"),
        (Envelope(payload=b"[" * 100_000).SerializeToString(), "not an envelope"),
        (Envelope(time=math.nan).SerializeToString(), "time in milliseconds is nan"),
        (Envelope(time=-1e308).SerializeToString(), "time in milliseconds is -inf"),
        (Envelope(budget=Budget(amounts={"usd": math.inf})).SerializeToString(), "usd is inf"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_message_is_refused(message: bytes, complaint: str) -> None:
    with pytest.raises(InvalidMessage, match=complaint):
        decode(message)


def test_the_example_in_the_readme_runs() -> None:
    page = (HERE / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    subprocess.run([sys.executable, "-c", example], check=True)
