"""Requests on the bus: which models there are, and the owner's questions."""

from __future__ import annotations

from typing import Any

import msgspec
from loom.contracts import ModelError, ModelReply, ModelRequest, read
from loom.models import prompted
from loom_kernel import Envelope, Host

from loom_plugin_models.service import Service

OWNER = "cli"
"""The sender of what comes over the control socket."""


class Wanted(msgspec.Struct, frozen=True):
    """`llm.list`: all, or the one that is asked under *name* (empty = the default one)."""

    name: str | None = None


class Question(msgspec.Struct, frozen=True):
    """`llm.ask`."""

    name: str
    prompt: str


class Requests:
    """Answers `llm.list` for everybody and `llm.ask` for the owner."""

    def __init__(self, host: Host, service: Service) -> None:
        self._host = host
        self._service = service

    def listen(self) -> None:
        """Answer from now on."""
        self._host.on("llm.list", handler=self._list)
        self._host.on("llm.ask", handler=self._begin)

    async def _list(self, envelope: Envelope) -> None:
        wanted = read(envelope, Wanted) if envelope.data else Wanted()
        found = self._service.list()
        if wanted.name is not None:
            try:
                found = [self._service.chosen(wanted.name)]
            except ModelError:
                found = []
        await self._host.reply(envelope, {"models": msgspec.to_builtins(found)})

    async def _begin(self, envelope: Envelope) -> None:
        """Answer beside: a model may take its time."""
        if envelope.sender != OWNER:
            await self._host.reply(envelope, {"error": "only the owner may ask so"})
            return
        self._host.spawn(self._ask(envelope, read(envelope, Question)), "ask")

    async def _ask(self, envelope: Envelope, question: Question) -> None:
        answer: dict[str, Any]
        try:
            request = ModelRequest(prompted(question.prompt, None))
            async with self._service.stream(question.name, request, envelope) as parts:
                replies = [part async for part in parts if isinstance(part, ModelReply)]
            answer = {"reply": msgspec.to_builtins(replies[0])}
        except ModelError as error:
            answer = {"error": str(error)}
        await self._host.reply(envelope, answer)
