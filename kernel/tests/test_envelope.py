"""The envelope: identifiers, bytes and JSON."""

from __future__ import annotations

import json
import math
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom_kernel import (
    Envelope,
    Host,
    InvalidEnvelope,
    PayloadNotSerializable,
    decode_json,
    encode_json,
)

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False,
    allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


def envelope(data: Any = None, **fields: Any) -> Envelope:
    return Envelope("t", "loom://local/x", 1_700_000_000.5, "a", data, "x", **fields)


@pytest.mark.anyio
@pytest.mark.feature("BUS-02")
async def test_ids_are_unique_and_sort_by_time(host: Host, take: Any) -> None:
    received = host.subscribe("a")
    for _ in range(1000):
        await host.publish("a")
    ids = [event.id for event in await take(received, 1000)]
    assert len(set(ids)) == 1000
    assert sorted(ids) == ids
    assert {uuid.UUID(id).version for id in ids} == {7}
    assert {uuid.UUID(id).variant for id in ids} == {uuid.RFC_4122}


@pytest.mark.feature("BUS-02")
@given(st.floats(0, 4e9), st.floats(0, 4e9), st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1))
def test_a_later_event_has_the_greater_id(a: float, b: float, one: int, two: int) -> None:
    first, second = (
        Envelope("t", "s", time, "a", None, "x", number).id for time, number in ((a, one), (b, two))
    )
    if abs(a - b) > 0.001:
        assert (first < second) == (a < b)
    assert int(uuid.UUID(first).hex[:12], 16) == pytest.approx(a * 1000, abs=1.01)


@pytest.mark.feature("BUS-02")
@given(values)
def test_data_and_payload_make_each_other(value: Any) -> None:
    assert decode_json(envelope(value).payload) == value


@pytest.mark.feature("BUS-02")
@given(st.binary())
def test_bytes_are_their_own_payload(value: bytes) -> None:
    assert envelope(value).payload is value


@pytest.mark.feature("ENV-01")
def test_the_wire_has_every_reserved_name() -> None:
    wire = json.loads(envelope({"n": 1}, labels=frozenset({"b", "a"})).to_json())
    assert {"thread_id", "correlation_id", "sender", "reply_to", "ttl", "hop", "ts"} <= wire.keys()
    assert wire["ts"] == 1_700_000_000_500
    assert wire["labels"] == ["a", "b"]
    assert wire["data"] == {"n": 1}


def test_an_envelope_is_read_only() -> None:
    with pytest.raises(AttributeError):
        envelope().topic = "b"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize("value", [object(), {1, "a"}.__iter__(), 2j])
def test_what_has_no_json_form_is_named(value: Any) -> None:
    with pytest.raises(PayloadNotSerializable, match=r"'some\.topic'"):
        encode_json(value, "some.topic")


def test_a_value_that_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(PayloadNotSerializable):
        encode_json(circle)


@pytest.mark.parametrize("text", [b"{", b"NaN", b"[1,]", b"\xff", b'{"a":01}', b"[" * 100_000])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidEnvelope, match="is not JSON"):
        decode_json(text)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_knows_no_infinity(number: float) -> None:
    written = encode_json([number])
    assert written == b"[null]"
