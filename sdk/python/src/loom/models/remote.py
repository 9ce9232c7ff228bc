"""The runtime's models, as an agent asks them: by the tool `llm:generate`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any, Self, cast
from uuid import uuid4

import msgspec
from loom_kernel import Envelope, Host, LoomError, Subscription, current

from loom.context import call_tool
from loom.contracts import (
    BudgetExceeded,
    ModelError,
    ModelErrorCode,
    ModelPart,
    ModelRecord,
    ModelReply,
    ModelRequest,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolProgress,
    ToolResult,
    read,
)
from loom.models.counting import estimate

TOOL = "llm:generate"
LIST = "llm.list"
PROGRESS = "tool.call.progressed"
PATIENCE = 600.0
"""Seconds that one answer may take."""

_open: set[tuple[str, str]] = set()
"""Callers and marks of the questions that this process waits for."""


class Remote:
    """See `loom.models.provider.Source`."""

    def __init__(self, host: Host, name: str) -> None:
        self._host = host
        self._name = name
        self._record: ModelRecord | None = None

    @property
    def name(self) -> str:
        return self._record.name if self._record is not None else self._name

    @property
    def context_window(self) -> int:
        return self._record.context_window if self._record is not None else 0

    @property
    def is_local(self) -> bool:
        return self._record is not None and self._record.is_local

    def count_tokens(self, text: str) -> int:
        return estimate(text)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelPart]]:
        if self._record is None:
            self._record = await self._found()
        with _marked(self._host.name) as mark:
            arguments = {**_arguments(request, self._name), "stream": mark}
            # Its id is the broker's: if a journal runs, the answer is known when the event that is
            # handled comes again, and nobody pays for it twice.
            call = ToolCall(TOOL, arguments, timeout=PATIENCE)
            # What is lost here is told by the result; nobody's progress waits for a slow listener.
            news = self._host.subscribe(
                PROGRESS, name=f"{TOOL}:{mark}", qos="realtime", capacity=4096
            )
            calling = self._host.spawn(_called(self._host, call, current.get()), f"{TOOL}/{mark}")
            calling.add_done_callback(lambda _: news.close())
            try:
                yield _Parts(self._name, (self._host.name, mark), news, calling)
            finally:
                calling.cancel()
                news.close()

    async def aclose(self) -> None:
        """Nothing is held."""

    async def _found(self) -> ModelRecord:
        """What the runtime says of the endpoint.

        Raises:
            ModelError: no models run, or there is none of that name.
        """
        try:
            answer = await self._host.request(LIST, {"name": self._name})
        except LoomError as error:
            text = f"the runtime has no models ({error}); enable the plugin `models`"
            raise ModelError(self._name, "MODEL_UNAVAILABLE", text, is_final=True) from error
        found = msgspec.convert(answer.data["models"], list[ModelRecord])
        if not found:
            text = "the runtime has no such endpoint; see `loom models list`"
            if not self._name:
                text = "no model is set up: see plugins/models/README.md, or set LOOM_LLM"
            raise ModelError(self._name, "MODEL_REFUSED", text, is_final=True)
        return found[0]


class _Parts:
    """What `llm:generate` tells while it runs, then its result."""

    def __init__(
        self,
        name: str,
        key: tuple[str, str],
        news: Subscription,
        calling: asyncio.Task[tuple[ToolResult, frozenset[str]]],
    ) -> None:
        self._name = name
        self._key = key
        """Caller and mark."""
        self._news = news
        self._calling = calling
        self._told = {"text": 0, "thinking": 0}
        """Characters passed on, of each kind."""
        self._left: list[ModelPart] | None = None
        """What is still to be passed on, once the result is there."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ModelPart:
        while self._left is None:
            event = await self._news.receive()
            if event is None:
                self._left = self._rest(await self._calling)
            elif (part := self._read(read(event, ToolProgress))) is not None:
                return part
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop(0)

    def _read(self, news: ToolProgress) -> ModelPart | None:
        """The part that *news* tells; None if some before it was lost: then the end tells all."""
        if (news.caller, news.mark) != self._key:
            return None
        told = self._told.get(news.kind, -1)
        if int(news.done) - len(news.message) != told:
            return None
        self._told[news.kind] = int(news.done)
        return TextDelta(news.message) if news.kind == "text" else ThinkingDelta(news.message)

    def _rest(self, outcome: tuple[ToolResult, frozenset[str]]) -> list[ModelPart]:
        """What was not told yet, and the reply."""
        result, labels = outcome
        cause = current.get()
        if cause is not None and not labels <= cause.labels:
            current.set(msgspec.structs.replace(cause, labels=cause.labels | labels))
        if not result.is_ok:
            raise _problem(self._name, result)
        reply = msgspec.convert(result.output, ModelReply)
        thought = "".join(one.text for one in reply.thinking)[self._told["thinking"] :]
        text = reply.content[self._told["text"] :]
        rest: list[ModelPart] = [ThinkingDelta(thought)] if thought else []
        return [*rest, *([TextDelta(text)] if text else []), reply]


@contextmanager
def _marked(caller: str) -> Iterator[str]:
    """A name for one question of *caller*: the same one when what it handles comes again."""
    cause = current.get()
    numbers = (f"{cause.id}/{number}" if cause else str(uuid4()) for number in count())
    mark = next(mark for mark in numbers if (caller, mark) not in _open)
    _open.add((caller, mark))
    try:
        yield mark
    finally:
        _open.discard((caller, mark))


async def _called(
    host: Host, call: ToolCall, cause: Envelope | None
) -> tuple[ToolResult, frozenset[str]]:
    """The result of *call*, and the labels of all that led to it."""
    current.set(cause)
    result = await call_tool(host, call)
    cause = current.get()
    return result, cause.labels if cause is not None else frozenset()


def _arguments(request: ModelRequest, name: str) -> dict[str, Any]:
    """Those of the tool, where `model` is the name of an endpoint."""
    written = cast(dict[str, Any], msgspec.to_builtins(request))
    return {**written, "model": request.model or name}


def _problem(name: str, result: ToolResult) -> LoomError:
    """The error that the tool's result stands for."""
    details = result.error.details if result.error is not None else {}
    message = result.error.message if result.error is not None else result.code
    if "unit" in details:
        return BudgetExceeded(
            details["unit"], details["wanted"], details["left"], details["thread"]
        )
    codes: dict[str, ModelErrorCode] = {
        "ACTION_TIMEOUT": "MODEL_TIMEOUT",
        "PROVIDER_UNAVAILABLE": "MODEL_UNAVAILABLE",
    }
    return ModelError(
        details.get("endpoint", name),
        details.get("code", codes.get(result.code, "MODEL_REFUSED")),
        details.get("message", f"{result.code}: {message}"),
        is_final=bool(details.get("is_final", result.code not in codes)),
        retry_after=details.get("retry_after"),
        partial=details.get("partial", ""),
    )
