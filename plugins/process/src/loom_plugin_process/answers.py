"""What a plugin says of itself in its answer to Init, held against what it was granted."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from loom.contracts import ToolDescriptor
from loom.plugin import wire
from loom.plugin.wire import pb
from loom_kernel import InvalidTopic, check_pattern

from loom_plugin_process.program import Program

MOST = 1000
"""Tools, and patterns, that are looked at; what is more is not used."""
LISTENERS = {"feature-extractor", "model-backend", "actuator"}
"""The types of plugins that receive events."""


class Refusal(NamedTuple):
    """Something that a plugin asked for or did without a grant."""

    asked: str
    """`tool`, `subscribe`, `publish`, `type`."""
    what: str
    reason: str


class Answer(msgspec.Struct):
    """What is left of the answer."""

    version: str
    types: tuple[str, ...]
    tools: list[ToolDescriptor]
    reporting: frozenset[str]
    """Names of the tools that report progress."""
    patterns: tuple[str, ...]
    refused: list[Refusal]


def hold(program: Program, response: pb.InitResponse) -> Answer:
    """Take of *response* what *program* was granted."""
    types = wire.read_types(response.types)
    answer = Answer(response.version[:80], types, [], frozenset(response.reporting), (), [])
    if not types:
        _refuse(answer, "type", "", "it is of none of the types that this Loom knows")
        return answer
    for described in list(response.tools)[:MOST]:
        _take_tool(program, answer, described)
    for pattern in dict.fromkeys(response.patterns[:MOST]):
        _take_pattern(program, answer, pattern)
    return answer


def _refuse(answer: Answer, asked: str, what: str, reason: str) -> None:
    answer.refused.append(Refusal(asked, what[:200], reason))


def _take_tool(program: Program, answer: Answer, described: Any) -> None:
    name = described.name
    try:
        tool = wire.read_descriptor(described)
    except ValueError as error:
        return _refuse(answer, "tool", name, f"its description cannot be read: {error}")
    if "tool" not in answer.types:
        return _refuse(answer, "tool", name, "a plugin that offers tools is of type tool")
    if not tool.name or not tool.name.isprintable() or tool.timeout <= 0:
        return _refuse(answer, "tool", name, "a tool has a name and a timeout above 0")
    if missing := [one for one in tool.permissions if one not in program.permissions]:
        reason = f"it needs the permission {missing[0]!r}, which it was not granted"
        return _refuse(answer, "tool", name, reason)
    if any((tool.name, tool.version) == (one.name, one.version) for one in answer.tools):
        return _refuse(answer, "tool", name, f"it offers version {tool.version} twice")
    answer.tools.append(msgspec.structs.replace(tool, provider="process"))
    return None


def _take_pattern(program: Program, answer: Answer, pattern: str) -> None:
    try:
        check_pattern(pattern)
    except InvalidTopic as error:
        return _refuse(answer, "subscribe", pattern, str(error))
    if not LISTENERS & set(answer.types):
        reason = f"a plugin that receives events is of type {' or '.join(sorted(LISTENERS))}"
        return _refuse(answer, "subscribe", pattern, reason)
    if not any(covers(granted, pattern) for granted in program.subscribe):
        return _refuse(answer, "subscribe", pattern, "it is not within what it may subscribe to")
    answer.patterns = (*answer.patterns, pattern)
    return None


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that *narrow* matches is matched by *wide* too."""
    wide_tokens, narrow_tokens = wide.split("."), narrow.split(".")
    for place, token in enumerate(wide_tokens):
        if token == ">":
            return len(narrow_tokens) > place
        if place >= len(narrow_tokens):
            return False
        other = narrow_tokens[place]
        if other == ">" or token not in ("*", other):
            return False
    return len(wide_tokens) == len(narrow_tokens)
