"""The scripted server itself."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import msgspec

from loom.testing.models import chat, messages, responses
from loom.testing.models.answers import Answer, Asked, Script, Scripted, echo
from loom.testing.models.http import NotHttp, chunk, event, opening, read_request, response

PROTOCOLS = {"chat": chat, "responses": responses, "messages": messages}
OVER = Answer("the script has no more answers", status=500)


class CallerGone(Exception):
    """Whoever asked does not want the answer any more."""


class FakeModels:
    """A model server on loopback that says what it is told to, over real HTTP.

    It speaks OpenAI's chat completions and responses and Anthropic's messages, streamed or not.
    *script* is a list of answers, used in order, or a function from the request to its answer;
    by default it says again what it was told. Use it as a context manager.
    """

    def __init__(self, script: Script = echo, *, port: int = 0, model: str = "fake") -> None:
        self.requests: list[Asked] = []
        """All that was asked, in order."""
        self.open = 0
        """Answers that are under way."""
        self.connections = 0
        """Connections that are open."""
        self.abandoned = 0
        """How often the caller closed the connection before its answer had ended."""
        self.url = ""
        """Where it is, up to and with `/v1`."""
        self.model = model
        self._script = script
        self._port = port
        self._next = 0
        self._group = asyncio.TaskGroup()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self._port, limit=1 << 20
        )
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/v1"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._group.__aexit__(None, None, None)  # what failed in the body is not the group's

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._group.create_task(self._serve(reader, writer), name="fake model")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while (asked := await read_request(reader)) is not None:
                await self._answer(asked, reader, writer)
        except (CallerGone, ConnectionError):
            self.abandoned += 1
        except NotHttp as error:
            writer.write(response(400, str(error).encode(), {"connection": "close"}))
        finally:
            self.connections -= 1
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if asked.path.endswith("/models"):
            known = {"id": self.model, "object": "model", "created": 0, "owned_by": "loom"}
            body = msgspec.json.encode({"object": "list", "data": [known]})
            writer.write(response(200, body, {"content-type": "application/json"}))
            return
        self.requests.append(asked)
        self.open += 1
        try:
            answer = await self._scripted(asked)
            await self._send(asked, answer, _Line(reader, writer))
        finally:
            self.open -= 1

    async def _scripted(self, asked: Asked) -> Answer:
        found: Any
        if callable(self._script):
            found = self._script(asked)
            if inspect.isawaitable(found):
                found = await found
        else:
            found = self._script[self._next] if self._next < len(self._script) else OVER
            self._next += 1
        return _as_answer(found)

    async def _send(self, asked: Asked, answer: Answer, line: _Line) -> None:
        await line.wait(answer.delay)
        if answer.status != 200:
            await line.send(_failure(asked, answer))
        elif asked.is_stream:
            await self._stream(asked, answer, line)
        else:
            record = PROTOCOLS[asked.protocol].whole(asked, answer)
            body = answer.raw.encode() or msgspec.json.encode(record)
            whole = response(200, body, {"content-type": "application/json"})
            if answer.cut >= 0:
                await line.send(whole[: len(whole) - len(body) // 2])
                line.cut()
            await line.send(whole)

    async def _stream(self, asked: Asked, answer: Answer, line: _Line) -> None:
        await line.send(opening({"content-type": "text/event-stream"}))
        for number, part in enumerate(_events(asked, answer)):
            if number == answer.cut:
                if answer.ends_early:
                    break
                line.cut()
            await line.wait(answer.pause if number >= answer.eager else 0.0)
            await line.send(chunk(part))
        await line.send(chunk(b""))


class _Line:
    """One connection while an answer is sent: notices when the other end goes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def wait(self, seconds: float) -> None:
        """Let *seconds* pass.

        Raises:
            CallerGone: the connection was closed meanwhile.
        """
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._reader.read(1)  # nothing is sent before the answer has ended
                raise CallerGone

    async def send(self, data: bytes) -> None:
        if self._reader.at_eof():
            raise CallerGone
        self._writer.write(data)
        await self._writer.drain()

    def cut(self) -> None:
        """Break the connection."""
        self._writer.transport.abort()
        raise ConnectionAbortedError


def _events(asked: Asked, answer: Answer) -> Iterator[bytes]:
    for name, data in PROTOCOLS[asked.protocol].parts(asked, answer):
        yield event(name, answer.raw or data)


def _as_answer(found: Scripted) -> Answer:
    return Answer(found) if isinstance(found, str) else found


def _failure(asked: Asked, answer: Answer) -> bytes:
    message = answer.text or f"status {answer.status}, as the script wants it"
    error: dict[str, Any] = {"type": "scripted_error", "message": message}
    if asked.protocol == "messages":
        record = {"type": "error", "error": error}
    else:
        record = {"error": {**error, "param": None, "code": None}}
    body = answer.raw.encode() or msgspec.json.encode(record)
    more = {"retry-after": answer.retry_after, "location": answer.location}
    return response(answer.status, body, {"content-type": "application/json", **more})
