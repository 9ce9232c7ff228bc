"""JSON Schemas of strangers, made harmless before anything here is held against them.

A validator runs what a schema says: it may recurse, multiply, fetch what `$ref` names, or match a
regular expression for hours. What a server checks itself, it need not make us check.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loom_plugin_mcp.texts import clean, is_clean

DEEPEST = 24
LARGEST = 4_000
"""Subschemas that one validation may have to look at, references followed."""
LONGEST_TEXT = 2_048
"""Characters of one description of an argument."""
_MAPS = ("properties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONES = (
    "items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_TEXTS = ("title", "description", "$comment")
_BASES = ("$schema", "$id", "$anchor", "$dynamicAnchor", "$vocabulary")
"""They only matter to references that we do not follow."""


class SchemaRefused(ValueError):
    """Nothing can be made of a schema; the text says why."""


def harmless(schema: dict[str, Any]) -> dict[str, Any]:
    """*schema* so that it can be held against arguments, as far as that costs little.

    Raises:
        SchemaRefused: it is nested too deep, or names arguments in ways that cannot be seen.
    """
    copied: dict[str, Any] = _copy(schema, 0)
    copied["type"] = "object"
    if _cost(copied, copied, ()) > LARGEST:
        return _outline(copied)
    return copied


def _copy(schema: Any, depth: int) -> Any:
    """*schema* without bases and with patterns that are only read, never matched."""
    if depth > DEEPEST:
        raise SchemaRefused(f"its schema is nested deeper than {DEEPEST}")
    if not isinstance(schema, dict):
        return schema
    copied: dict[str, Any] = {}
    for key, value in schema.items():
        copied |= _keyword(key, value, depth)
    if "patternProperties" in schema:  # what they would have allowed must not be refused now
        copied.pop("additionalProperties", None)
        copied.pop("unevaluatedProperties", None)
    return copied


def _keyword(key: str, value: Any, depth: int) -> dict[str, Any]:
    if not is_clean(key):
        raise SchemaRefused("its schema has a keyword with characters that cannot be seen")
    if key in _BASES or key == "patternProperties":
        return {}
    if key == "pattern":
        return {"x-pattern": clean(str(value), 256)}
    if key in _TEXTS:
        return {key: clean(str(value), LONGEST_TEXT)}
    if key in _MAPS and isinstance(value, dict):
        if not all(map(is_clean, value)):
            raise SchemaRefused("it has an argument whose name cannot be seen as it is")
        return {key: {name: _copy(below, depth + 1) for name, below in value.items()}}
    if key in _LISTS and isinstance(value, list):
        return {key: [_copy(below, depth + 1) for below in value]}
    if key in _ONES:
        return {key: _copy(value, depth + 1)}
    _check_depth(value, depth)
    return {key: value}


def _check_depth(value: Any, depth: int) -> None:
    """Hold literals (an enum, a default) to the same depth."""
    if depth > DEEPEST:
        raise SchemaRefused(f"its schema is nested deeper than {DEEPEST}")
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in below:
        _check_depth(one, depth + 1)


def _cost(schema: Any, root: dict[str, Any], path: tuple[str, ...]) -> int:
    """Subschemas in *schema*, each counted as often as it is reached; beyond `LARGEST` if endless.

    *path*: the references that led here.
    """
    if not isinstance(schema, dict):
        return 1
    total = 1
    for below in _below(schema):
        total += _cost(below, root, path)
        if total > LARGEST:
            return total
    for key in ("$ref", "$dynamicRef", "$recursiveRef"):
        if key in schema:
            target = _target(schema[key], root)
            if target is None or schema[key] in path:
                return LARGEST + 1
            total += _cost(target, root, (*path, schema[key]))
    return total


def _below(schema: dict[str, Any]) -> Iterator[Any]:
    for key in _MAPS:
        if key not in ("$defs", "definitions") and isinstance(schema.get(key), dict):
            yield from schema[key].values()
    for key in _LISTS:
        if isinstance(schema.get(key), list):
            yield from schema[key]
    for key in _ONES:
        if key in schema:
            yield schema[key]


def _target(reference: Any, root: dict[str, Any]) -> Any:
    """The subschema of *root* that a reference leads to; None if it leads anywhere else.

    What is no subschema (a default, an unknown keyword) is copied as it is, patterns included:
    a reference must not make a schema of it.
    """
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    found: Any = root
    parts = iter(reference[2:].split("/"))
    for key in parts:
        steps = (key, next(parts, "")) if key in _MAPS else (key,) if key in _ONES else ("",)
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, dict) and name else None
    return found


def _outline(schema: dict[str, Any]) -> dict[str, Any]:
    """The arguments' names and descriptions only: the server checks the rest."""
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    outline: dict[str, Any] = {"type": "object", "properties": {}}
    for name, below in known.items():
        text = below.get("description") if isinstance(below, dict) else None
        outline["properties"][name] = {"description": text} if text else {}
    required = schema.get("required")
    if isinstance(required, list):
        outline["required"] = [name for name in required if name in known]
    return outline
