"""What a model without tool calls means: a call, an answer, or nothing that can be used.

It is asked for one JSON object a turn. Models also write other names for its two keys, fences
around it, the classical `Action:` lines, or a call as in a program; and they go on to invent the
result, which is cut: what follows the first call does not count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import msgspec

from loom.cognition.prompts import FINAL
from loom.contracts import ToolUse

MOST_READ = 65_536
"""Characters of a turn in which a call is looked for."""
MOST_TRIES = 50
_NAMES = ("tool", "action", "name", "tool_name", "function")
_ARGUMENTS = ("args", "arguments", "input", "parameters", "action_input", "tool_input")
# Every repetition is bounded: what is read here may be made to keep a pattern busy.
_START = r"^[^\w\n]{0,8}"
_FINAL = re.compile(r"\*{0,3}FINAL[ _]ANSWER\*{0,3}\s{0,3}:\*{0,3}\s{0,8}", re.IGNORECASE)
_INVENTED = re.compile(
    _START + r"(?:observation|tool (?:result|output))[^\w\n]{0,4}:", re.IGNORECASE | re.M
)
_ACTION = re.compile(
    _START + r"Action[^\w\n]{0,4}:[ `\"]{0,4}([\w.:-]{1,128})[`\"]?\s{1,4}"
    r"[^\w\n]{0,4}Action Input[^\w\n]{0,4}:\s{0,4}",
    re.IGNORECASE | re.M,
)
_CALL = re.compile(r"\b([A-Za-z][\w-]{0,63}(?::|__|\.)[\w-]{1,64})\(")
_PAIR = re.compile(r"\s{0,8},?\s{0,8}([A-Za-z_]\w{0,63})\s{0,4}=\s{0,4}")
_ATTEMPT = re.compile(
    rf"^[ \t]{{0,8}}(?:```\w{{0,8}}\s{{0,4}})?[{{\[]|{_START}Action[^\w\n]{{0,4}}:",
    re.IGNORECASE | re.M,
)
_LABEL = re.compile(_START + r"Thought[^\w\n]{0,4}:\s{0,8}", re.IGNORECASE)
_REST = re.compile(rf"(?:```\w{{0,8}}\s{{0,4}}|{_START}Action[^\w\n]{{0,4}}:\s{{0,4}})\Z", re.M)

Resolve = Callable[[str], str]
"""The full name of the tool that is meant; empty = none is."""


class Turn(msgspec.Struct, frozen=True):
    """What was understood: a call, an answer (None = none), or a problem."""

    thought: str = ""
    call: ToolUse | None = None
    answer: str | None = None
    problem: str = ""


def understand(text: str, resolve: Resolve) -> Turn:
    """What *text* means. A name that *resolve* does not know is handed on as it is."""
    head = text[:MOST_READ]
    invented = _INVENTED.search(head)
    body = head[: invented.start()] if invented else head
    final = _FINAL.search(body)
    before = body[: final.start()] if final else body
    for start, name, arguments in _candidates(before, resolve):
        return Turn(_thought(before[:start]), call=ToolUse("", name, arguments))
    if final:
        rest = body[final.end() :] if invented else text[final.end() :]
        return Turn(_thought(before), answer=rest.strip())
    if (answer := _answer_object(before)) is not None:
        return Turn(answer=answer)
    if _ATTEMPT.search(before):
        why = f'it holds no JSON object like {{"tool": "…", "args": {{…}}}} and no "{FINAL}"'
        return Turn(_thought(before)[:1000], problem=why)
    plain = (body if invented else text).strip()
    return Turn(answer=plain) if plain else Turn(problem="it was empty")


def call_of(text: str, resolve: Resolve) -> ToolUse | None:
    """The call that *text*, a JSON object and nothing else, is; None if it is not."""
    body = text.strip().removeprefix("```json").strip("`").strip()
    if len(body) > MOST_READ or not (body.startswith("{") and body.endswith("}")):
        return None
    found = _object_at(body, 0)
    if found is None or found[1] != len(body):
        return None
    meant = _meant(found[0], resolve)
    return ToolUse("", meant[0], meant[1]) if meant and resolve(meant[0]) else None


def _candidates(text: str, resolve: Resolve) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The calls in *text*, in their order: where each begins, its tool, its arguments."""
    found = [*_objects(text, resolve), *_actions(text, resolve), *_calls(text, resolve)]
    yield from sorted(found, key=lambda one: one[0])


def _objects(text: str, resolve: Resolve) -> Iterator[tuple[int, str, dict[str, Any]]]:
    start = text.find("{")
    for _ in range(MOST_TRIES):
        if start < 0:
            return
        found = _object_at(text, start)
        if found is not None and (meant := _meant(found[0], resolve)):
            yield start, *meant
            return
        start = text.find("{", found[1] if found else start + 1)


def _actions(text: str, resolve: Resolve) -> Iterator[tuple[int, str, dict[str, Any]]]:
    match = _ACTION.search(text)
    if match and (found := _object_at(text, match.end())):
        yield match.start(), resolve(match[1]) or match[1], found[0]


def _calls(text: str, resolve: Resolve) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for match in list(_CALL.finditer(text))[:MOST_TRIES]:
        name = resolve(match[1])
        if name and (arguments := _call_arguments(text, match.end())) is not None:
            yield match.start(), name, arguments
            return


def _call_arguments(text: str, start: int) -> dict[str, Any] | None:
    """`{…})`, `a=1, b="x")` or `)`; None if it is something else."""
    if found := _object_at(text, start):
        return found[0] if text[found[1] :].lstrip().startswith(")") else None
    arguments: dict[str, Any] = {}
    while pair := _PAIR.match(text, start):
        value = _value_at(text, pair.end())
        if value is None:
            return None
        arguments[pair[1]], start = value
    return arguments if text[start:].lstrip().startswith(")") else None


def _meant(value: Mapping[str, Any], resolve: Resolve) -> tuple[str, dict[str, Any]] | None:
    """The tool and its arguments, if *value* is a call."""
    if isinstance(inner := value.get("function"), dict):
        value = inner
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), "")
    if not name:
        return None
    given = next((value[key] for key in _ARGUMENTS if key in value), None)
    if given is None and not resolve(name):
        return None  # an object with a name, but no call
    if isinstance(given, str):
        inside = _object_at(given, 0)
        given = inside[0] if inside else {"input": given}
    return resolve(name) or name, given if isinstance(given, dict) else {}


def _answer_object(text: str) -> str | None:
    body = text.strip().removeprefix("```json").strip("`").strip()
    found = _object_at(body, 0) if body.startswith("{") else None
    for key in ("final_answer", "answer"):
        if found and isinstance(answer := found[0].get(key), str):
            return answer
    return None


def _thought(text: str) -> str:
    return _LABEL.sub("", _REST.sub("", text.strip()), count=1).strip()


def _object_at(text: str, start: int) -> tuple[dict[str, Any], int] | None:
    found = _value_at(text, start) if text[start : start + 1] == "{" else None
    return found if found and isinstance(found[0], dict) else None


def _value_at(text: str, start: int) -> tuple[Any, int] | None:
    """The JSON value that begins at *start*, and where it ends."""
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant, strict=False)
