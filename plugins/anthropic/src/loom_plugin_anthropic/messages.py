"""The driver `anthropic`: Anthropic's messages, with what a model thinks and its seal."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from loom.contracts import ModelPart, ModelRequest
from loom.models import Endpoint

from loom_plugin_anthropic.asking import messages_body
from loom_plugin_anthropic.connection import Connection
from loom_plugin_anthropic.gathering import Gathered


class MessagesDriver:
    """See `loom.contracts.ModelDriver`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection = Connection(endpoint)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelPart]]:
        client = await self._connection.client()
        body = messages_body(self._endpoint, request)
        with self._connection.translated(is_reading=False):
            answer: Any = await client.messages.create(**body)
        gathered = Gathered(self._endpoint, request)
        if not self._endpoint.stream:
            async with aclosing(self._whole(answer, gathered)) as parts:
                yield parts
            return
        async with answer, aclosing(self._parts(answer, gathered)) as parts:
            yield parts

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _parts(self, answer: Any, gathered: Gathered) -> AsyncGenerator[ModelPart, None]:
        with self._connection.translated(is_reading=True):
            async for event in answer:
                for part in gathered.take(event):
                    yield part
            yield gathered.reply()

    async def _whole(self, answer: Any, gathered: Gathered) -> AsyncGenerator[ModelPart, None]:
        with self._connection.translated(is_reading=True):
            for part in gathered.take_whole(answer):
                yield part
            yield gathered.reply()
