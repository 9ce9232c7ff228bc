"""Arguments against JSON Schema (2020-12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loom.contracts import ToolDescriptor, ToolError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


class Validators:
    """One compiled validator a tool version. jsonschema is imported with the first tool."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[dict[str, Any], Validator]] = {}

    def check_schema(self, descriptor: ToolDescriptor) -> None:
        """Compile the schema of *descriptor*.

        Raises:
            ToolError: CAPABILITY_ERROR, it is no JSON Schema.
        """
        from jsonschema import Draft202012Validator, SchemaError

        try:
            Draft202012Validator.check_schema(descriptor.parameters)
        except SchemaError as error:
            raise ToolError(
                descriptor.name, "CAPABILITY_ERROR", f"its schema is wrong: {error.message}"
            ) from error
        self._known[descriptor.name, descriptor.version] = (
            descriptor.parameters,
            Draft202012Validator(descriptor.parameters),
        )

    def check(self, descriptor: ToolDescriptor, arguments: Mapping[str, Any]) -> None:
        """Hold *arguments* against the schema.

        Raises:
            ToolError: INVALID_PARAMS; the message and `details["field"]` name the first wrong one.
        """
        schema, validator = self._known[descriptor.name, descriptor.version]
        if schema is not descriptor.parameters:
            self.check_schema(descriptor)
            validator = self._known[descriptor.name, descriptor.version][1]
        error = next(iter(sorted(validator.iter_errors(arguments), key=_place)), None)
        if error is not None:
            field = _field(error)
            raise ToolError(
                descriptor.name,
                "INVALID_PARAMS",
                f"{field}: {error.message}"[:500],
                {"field": field, "rule": str(error.validator)},
            )


def _place(error: Any) -> str:
    return "/".join(map(str, error.absolute_path))


def _field(error: Any) -> str:
    """The argument that is wrong, missing or unknown, as a dotted path."""
    path = [str(part) for part in error.absolute_path]
    if error.validator == "required":
        path += [name for name in error.validator_value if name not in error.instance][:1]
    elif error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        path += [name for name in error.instance if name not in known][:1]
    return ".".join(path) or "arguments"
