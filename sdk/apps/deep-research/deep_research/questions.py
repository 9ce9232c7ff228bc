"""What is asked: the user's query, the questions that it falls into, and their names."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any

import msgspec

LONGEST = 300
_ASKS = r"(?:who|whom|whose|what|when|where|why|how|which|is|are|was|were|do|does|did|can)"
_JOINT = re.compile(rf"(?<=[?;.])\s+|,?\s+(?:and|or|but)\s+(?={_ASKS}\b)", re.IGNORECASE)
"""Between two questions of one sentence."""
_NO_NAME = re.compile(r"[^a-z0-9]+")

Question = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]


class Query(msgspec.Struct, frozen=True):
    """The data of `user.query`."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=1000, pattern=r"\S")]
    id: Annotated[str, msgspec.Meta(pattern="^([a-z0-9][a-z0-9-]{0,39})?$")] = ""


class Questions(msgspec.Struct, frozen=True):
    """What a model makes of a query."""

    questions: Annotated[list[Question], msgspec.Meta(min_length=1, max_length=20)]


def schema(most: int) -> dict[str, Any]:
    """The JSON Schema of `Questions`, for a model."""
    question = {"type": "string", "minLength": 1, "maxLength": LONGEST}
    return {
        "type": "object",
        "properties": {
            "questions": {"type": "array", "items": question, "minItems": 1, "maxItems": most}
        },
        "required": ["questions"],
        "additionalProperties": False,
    }


def prompt(query: str, most: int) -> str:
    """How a model is asked for them."""
    return (
        f"Someone wants a report on: {query}\n\nName 2 to {most} questions, no more than it takes, "
        "that together cover this, do not overlap, and can each be researched alone on the web. "
        'Answer with {"questions": ["…"]}.'
    )


def read_questions(answer: dict[str, Any] | None, most: int) -> list[str]:
    """The questions in a model's *answer*; nothing if it is of no use."""
    try:
        said = msgspec.convert(answer, Questions).questions
    except msgspec.ValidationError:
        return []
    return list(dict.fromkeys(" ".join(one.split()) for one in said if one.strip()))[:most]


def questions_by_rules(query: str, most: int) -> list[str]:
    """The questions that *query* names by itself."""
    parts = (part.strip(" ;,") for part in _JOINT.split(" ".join(query.split())))
    found = [f"{part[:1].upper()}{part[1:LONGEST]}" for part in parts if part]
    return list(dict.fromkeys(found))[:most]


def file_name(query: str, id: str) -> str:
    """Of the report on *query*."""
    ascii = unicodedata.normalize("NFKD", query).encode("ascii", "ignore").decode().lower()
    slug = _NO_NAME.sub("-", ascii)[:80].strip("-")
    return f"{slug or 'report'}-{id}.md"
