"""`@capability`: a function that every agent can call by name, with a schema from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from loom.contracts.tools import ToolDescriptor, ToolError, ToolHints

if TYPE_CHECKING:
    import msgspec

Function = Callable[..., Any]


class Capability:
    """A function with a name, a version and a JSON Schema; call it as before."""

    def __init__(
        self,
        function: Function,
        name: str,
        version: str,
        hints: ToolHints,
        *,
        context: type | None = None,
    ) -> None:
        """*context* is the type of the parameter that receives the context; None = `Context`."""
        self.function = function
        self.name = name
        self.version = version
        self._hints = hints
        self._context = ""
        self._context_type = context
        self._arguments = self._read_signature()
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of the arguments, closed: unknown ones are refused."""
        import msgspec

        schema = msgspec.json.schema(self._arguments)
        definitions = schema.pop("$defs", {})
        own: dict[str, Any] = definitions.pop(schema.pop("$ref").rpartition("/")[2])
        own.pop("title", None)
        own["additionalProperties"] = False
        return {**own, "$defs": definitions} if definitions else own

    def descriptor(self) -> ToolDescriptor:
        """What an agent that has it announces."""
        return ToolDescriptor(
            name=self.name,
            description=inspect.getdoc(self.function) or self.name,
            parameters=self.parameters,
            version=self.version,
            provider="agent",
            hints=self._hints,
        )

    async def invoke(self, arguments: Mapping[str, Any], context: Any = None) -> Any:
        """Call the function with *arguments* turned into the types of its signature.

        Raises:
            ToolError: INVALID_PARAMS, naming the argument.
        """
        import msgspec

        try:
            record = msgspec.convert(dict(arguments), self._arguments)
        except msgspec.ValidationError as error:
            raise ToolError(self.name, "INVALID_PARAMS", str(error)) from error
        typed = {name: getattr(record, name) for name in self._arguments.__struct_fields__}
        if self._context:
            typed[self._context] = context
        result = self.function(**typed)
        return await result if isinstance(result, Awaitable) else result

    def _read_signature(self) -> type[msgspec.Struct]:
        import msgspec

        context = self._context_type
        if context is None:
            from loom.context import Context as context  # noqa: N813  # a type like any other

        hints = get_type_hints(self.function, include_extras=True)
        fields: list[Any] = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(
                    f"capability {self.name!r}: *{name} has no schema; name its arguments"
                )
            if hints.get(name) is context:
                self._context = name
            elif parameter.default is parameter.empty:
                fields.append((name, hints.get(name, Any)))
            else:
                fields.append((name, hints.get(name, Any), parameter.default))
        return msgspec.defstruct("Arguments", fields, kw_only=True, forbid_unknown_fields=True)


def capability(
    name: str, version: str = "1.0", *, hints: ToolHints | None = None
) -> Callable[[Function], Capability]:
    """Declare a function, sync or async, that other agents can call as tool *name*.

    A parameter annotated with `Context` receives the context of the call; the others, with
    their types and defaults, become the schema.

        @capability("research.search", version="1.0")
        def search(query: str, limit: int = 5) -> dict: ...
    """

    def declare(function: Function) -> Capability:
        return Capability(function, name, version, hints or ToolHints())

    return declare
