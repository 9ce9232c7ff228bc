"""What a scripted model server is told to answer, and what it was asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

Protocol = Literal["chat", "responses", "messages"]
Finish = Literal["", "stop", "length", "tool_calls", "content_filter"]


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool that the model wants called, by its name on the wire."""

    name: str
    arguments: dict[str, Any] | str = {}
    """As text it is sent as it is: a model may write what is no JSON."""
    id: str = ""
    """Empty = `call_1`, `call_2`, …"""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer, or the way in which there is none."""

    text: str = ""
    thinking: str = ""
    seal: str = ""
    """What an endpoint wants back with the thinking."""
    calls: tuple[Call, ...] = ()
    finish: Finish = ""
    """Empty = `tool_calls` if there are calls, else `stop`."""
    tokens: tuple[int, int] | None = (10, 5)
    """Input and output tokens that it tells; None = it does not."""
    cached: int = 0
    reasoning: int = 0
    role: str = "assistant"
    piece: int = 8
    """Characters of each part of a streamed answer."""
    status: int = 200
    """Another one is an error that says *text*."""
    retry_after: str = ""
    """The header `Retry-After`."""
    location: str = ""
    """The header `Location`."""
    delay: float = 0.0
    """Seconds before anything is sent."""
    pause: float = 0.0
    """Seconds before each part of a streamed answer, the first as well."""
    eager: int = 0
    """Parts that come without a pause before the others."""
    cut: int = -1
    """Parts after which the connection breaks; of an answer in one piece, half is sent."""
    ends_early: bool = False
    """With *cut*: the answer ends there, in good order but without its end."""
    raw: str = ""
    """Sent as the body (or each part's data) instead of what the protocol wants."""

    @property
    def finished(self) -> str:
        """Why it ends."""
        return self.finish or ("tool_calls" if self.calls else "stop")


class Asked(msgspec.Struct, frozen=True):
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: dict[str, Any]

    @property
    def protocol(self) -> Protocol:
        """Which of the three it speaks."""
        if self.path.endswith("/responses"):
            return "responses"
        return "messages" if self.path.endswith("/messages") else "chat"

    @property
    def is_stream(self) -> bool:
        """Whether the answer is wanted in parts."""
        return bool(self.body.get("stream"))

    @property
    def key(self) -> str:
        """The key that came with it."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return self.headers.get("x-api-key") or bearer

    @property
    def prompt(self) -> str:
        """The text of the last message."""
        messages = self.body.get("messages", self.body.get("input", ""))
        if isinstance(messages, str) or not messages:
            return str(messages or "")
        content = messages[-1].get("content", messages[-1].get("output", ""))
        if isinstance(content, str):
            return content
        return "".join(part.get("text", "") for part in content or ())


Scripted = Answer | str
Script = Sequence[Scripted] | Callable[[Asked], "Scripted | Awaitable[Scripted]"]
"""Answers in order, or a function that answers; a text is an answer with that text."""


def echo(asked: Asked) -> Answer:
    """Say again what was said."""
    return Answer(f"You said: {asked.prompt}", tokens=(len(asked.prompt), len(asked.prompt) + 10))


def pieces(text: str, size: int) -> list[str]:
    """*text* in parts of *size* characters."""
    return [text[start : start + size] for start in range(0, len(text), max(size, 1))]


def written(call: Call) -> str:
    """What the model writes as the arguments of *call*."""
    if isinstance(call.arguments, str):
        return call.arguments
    return msgspec.json.encode(call.arguments).decode()


def named(answer: Answer) -> list[tuple[str, Call]]:
    """The calls of *answer*, each with its id."""
    return [(call.id or f"call_{n}", call) for n, call in enumerate(answer.calls, 1)]
