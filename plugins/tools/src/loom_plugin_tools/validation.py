"""Arguments against JSON Schema (2020-12), by jsonschema-rs: a thirtieth of the time of Python's.

Schemas come from strangers too. They fetch nothing, whatever they refer to, and their patterns
run on an engine whose time grows with the text and not faster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from loom.contracts import ToolDescriptor, ToolError

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, ValidationError


class Validators:
    """One compiled validator a tool version. The library is imported with the first tool."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[dict[str, Any], Draft202012Validator]] = {}

    def check_schema(self, descriptor: ToolDescriptor) -> None:
        """Compile the schema of *descriptor*.

        Raises:
            ToolError: CAPABILITY_ERROR, it is no JSON Schema, or refers to what it does not hold.
        """
        known = self._known.get((descriptor.name, descriptor.version))
        if known is not None and known[0] == descriptor.parameters:
            return
        from jsonschema_rs import Draft202012Validator, RegexOptions

        try:
            compiled = Draft202012Validator(
                descriptor.parameters, retriever=_fetch_nothing, pattern_options=RegexOptions()
            )
        except ValueError as error:
            problem = getattr(error, "message", str(error))
            raise ToolError(
                descriptor.name, "CAPABILITY_ERROR", f"its schema is wrong: {problem}"[:500]
            ) from error
        self._known[descriptor.name, descriptor.version] = (descriptor.parameters, compiled)

    def check(self, descriptor: ToolDescriptor, arguments: Mapping[str, Any]) -> None:
        """Hold *arguments* against the schema.

        Raises:
            ToolError: INVALID_PARAMS; the message and `details["field"]` name the first wrong one.
        """
        schema, validator = self._known[descriptor.name, descriptor.version]
        if schema is not descriptor.parameters:
            self.check_schema(descriptor)
            validator = self._known[descriptor.name, descriptor.version][1]
        if validator.is_valid(arguments):
            return
        error = min(validator.iter_errors(arguments), key=_place)
        field = _field(error)
        raise ToolError(
            descriptor.name,
            "INVALID_PARAMS",
            f"{field}: {error.message}"[:500],
            {"field": field, "rule": error.kind.name},
        )


def _fetch_nothing(address: str) -> NoReturn:
    raise ValueError(f"a schema may not refer to {address!r}, outside of itself")


def _place(error: ValidationError) -> str:
    return "/".join(map(str, error.instance_path))


def _field(error: ValidationError) -> str:
    """The argument that is wrong, missing or unknown, as a dotted path."""
    path = [str(part) for part in error.instance_path]
    if error.kind.name == "required":
        path.append(str(error.kind.value))
    elif error.kind.name == "additionalProperties":
        path += map(str, error.kind.value[:1])
    return ".".join(path) or "arguments"
