"""`@capability`: a schema from a signature, and arguments in its types."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest
from loom import Context, ToolError, capability
from loom.contracts import ToolHints

pytestmark = pytest.mark.feature("SDK-02")


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(msgspec.Struct):
    width: int
    height: int = 1


@capability("draw.box", version="2.1", hints=ToolHints(read_only=True))
def draw(
    title: str,
    size: Size,
    colour: Colour = Colour.RED,
    style: Literal["thin", "thick"] = "thin",
    tags: list[str] | None = None,
    copies: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1,
) -> dict[str, Any]:
    """Draw a box.

    It has a title.
    """
    return {"title": title, "area": size.width * size.height, "colour": colour, "copies": copies}


@capability("who.asks")
async def who(ctx: Context, greeting: str = "hi") -> str:
    return f"{greeting} from {ctx.agent_id}"


def test_the_schema_says_what_the_signature_says() -> None:
    schema = draw.parameters
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["required"] == ["title", "size"]
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == {"title", "size", "colour", "style", "tags", "copies"}
    assert schema["properties"]["title"] == {"type": "string"}
    assert schema["properties"]["copies"] == {
        "type": "integer", "minimum": 1, "maximum": 9, "default": 1,
    }  # fmt: skip
    assert schema["properties"]["style"]["enum"] == ["thick", "thin"]


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("arguments", "is_right"),
    [
        ({"title": "a", "size": {"width": 2}}, True),
        ({"title": "a", "size": {"width": 2}, "colour": "blue", "tags": ["x"], "copies": 9}, True),
        ({"title": "a"}, False),
        ({"title": "a", "size": {"width": "2"}}, False),
        ({"title": "a", "size": {"width": 2}, "colour": "green"}, False),
        ({"title": "a", "size": {"width": 2}, "copies": 0}, False),
        ({"title": "a", "size": {"width": 2}, "extra": 0}, False),
    ],
)
@pytest.mark.anyio
async def test_schema_and_call_accept_the_same(arguments: dict[str, Any], is_right: bool) -> None:
    validator = jsonschema.Draft202012Validator(draw.parameters)
    assert validator.is_valid(arguments) is is_right
    if is_right:
        assert (await draw.invoke(arguments))["title"] == "a"
    else:
        with pytest.raises(ToolError) as refused:
            await draw.invoke(arguments)
        assert refused.value.code == "INVALID_PARAMS"


@pytest.mark.anyio
async def test_arguments_arrive_in_the_types_of_the_signature() -> None:
    made = await draw.invoke({"title": "a", "size": {"width": 3, "height": 2}, "colour": "blue"})
    assert made == {"title": "a", "area": 6, "colour": Colour.BLUE, "copies": 1}


def test_the_descriptor_tells_name_version_and_purpose() -> None:
    found = draw.descriptor()
    assert (found.name, found.version, found.provider) == ("draw.box", "2.1", "agent")
    assert found.description == "Draw a box.\n\nIt has a title."
    assert found.hints.read_only


def test_it_is_still_the_function() -> None:
    assert draw("a", Size(2))["area"] == 2
    assert draw.__name__ == "draw"


@pytest.mark.anyio
async def test_the_context_is_handed_in_and_not_in_the_schema(runtime: Any) -> None:
    assert set(who.parameters["properties"]) == {"greeting"}
    context = Context(runtime.host("x"), "ada")
    assert await who.invoke({}, context) == "hi from ada"
    assert await who.invoke({"greeting": "yo"}, context) == "yo from ada"


def test_arguments_without_names_have_no_schema() -> None:
    with pytest.raises(TypeError, match="name its arguments"):

        @capability("bad")
        def bad(*args: int) -> None: ...

    with pytest.raises(TypeError, match="name its arguments"):

        @capability("worse")
        def worse(**options: int) -> None: ...
