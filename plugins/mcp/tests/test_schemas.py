"""Schemas of strangers: whatever they are, holding arguments against them is quick and local."""

from __future__ import annotations

import contextlib
import json
import socket
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, SchemaError
from loom_plugin_mcp.schemas import DEEPEST, SchemaRefused, harmless
from loom_plugin_mcp.texts import clean

pytestmark = [pytest.mark.reliability("S12"), pytest.mark.feature("MCP-02")]

REFERENCES = (
    "#", "#/$defs/a", "#/$defs/b", "#/properties/a", "#/default", "#/items", "#/allOf/0",
    "#/$defs/a/properties/a", "http://127.0.0.1:1/x", "other.json", "#anchor", 5, None,
)  # fmt: skip
LITERALS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


def schemas(below: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    named = st.dictionaries(st.sampled_from(["a", "b", "pattern"]), below, max_size=3)
    several = st.lists(below, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": named, "$defs": named, "patternProperties": named, "default": below,
            "allOf": several, "anyOf": several, "oneOf": several, "items": below, "not": below,
            "additionalProperties": below, "$ref": st.sampled_from(REFERENCES), "unknown": below,
            "$dynamicRef": st.sampled_from(REFERENCES), "pattern": st.just("^(a+)+$"),
            "$id": st.just("http://127.0.0.1:1/"), "$schema": st.just("http://127.0.0.1:1/s"),
            "required": st.lists(st.sampled_from("ab"), max_size=2),
            "type": st.sampled_from(["object", "string"]), "description": st.text(max_size=20),
        },
    )  # fmt: skip


SCHEMAS = schemas(st.recursive(st.booleans() | schemas(LITERALS), schemas, max_leaves=12))
ARGUMENTS = {"a": "a" * 60 + "b", "b": {"a": {"a": "a" * 60 + "b"}}, "pattern": "a" * 60 + "b"}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a schema made us connect to somebody")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@given(SCHEMAS)
@settings(max_examples=40, deadline=None)
def test_whatever_the_schema_is_it_is_quick_and_local(schema: dict[str, Any]) -> None:
    with contextlib.suppress(SchemaRefused):
        found = harmless(schema)
        assert found["type"] == "object"
        assert "127.0.0.1" not in json.dumps([*_references(found)])
        with contextlib.suppress(SchemaError):  # the broker refuses what is no schema
            Draft202012Validator.check_schema(found)
            list(Draft202012Validator(found).iter_errors(ARGUMENTS))


def _references(schema: Any) -> Iterator[Any]:
    """The references that a validator would follow from the top."""
    below = schema.get("properties", {}) if isinstance(schema, dict) else {}
    yield schema.get("$ref") if isinstance(schema, dict) else None
    for one in below.values() if isinstance(below, dict) else ():
        yield from _references(one)


def test_what_is_usual_stays_as_it_is() -> None:
    usual = {
        "type": "object", "required": ["path"], "additionalProperties": False,
        "$defs": {"Mode": {"enum": ["r", "w"]}},
        "properties": {
            "path": {"type": "string", "description": "Where", "minLength": 1},
            "mode": {"$ref": "#/$defs/Mode", "default": "r"},
            "tags": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        },
    }  # fmt: skip
    assert harmless(usual) == usual


def test_depth_is_bounded_in_literals_too() -> None:
    deep: Any = "x"
    for _ in range(DEEPEST + 2):
        deep = [deep]
    with pytest.raises(SchemaRefused, match="nested deeper"):
        harmless({"properties": {"a": {"default": deep}}})


@given(st.text(max_size=50), st.integers(1, 60))
def test_text_is_cut_and_nothing_in_it_hides(text: str, longest: int) -> None:
    found = clean(text, longest)
    assert len(found) <= longest
    assert clean(found, longest) == found
    assert not {unicodedata.category(c) for c in found.replace("\n", "").replace("\t", "")} & {
        "Cc", "Cf", "Cs", "Co", "Cn",
    }  # fmt: skip
