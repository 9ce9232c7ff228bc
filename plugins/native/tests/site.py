"""A real web site on loopback, of raw answers: it says what is written here, to the byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

Play = Callable[[asyncio.StreamWriter], Awaitable[None]]
Answer = bytes | Play


def answer(body: bytes | str, status: str = "200 OK", **headers: str) -> bytes:
    """An HTTP answer; `content_type="…"` is a header."""
    content = body.encode() if isinstance(body, str) else body
    named = {"content_type": "text/html; charset=utf-8", "content_length": str(len(content))}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in (named | headers).items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", *lines, "connection: close", "", ""])
    return head.encode() + content


def redirect(where: str, status: str = "302 Found") -> bytes:
    return answer("", status, location=where)


class Site:
    """Answers by path (without its query), and remembers what it was asked."""

    def __init__(
        self,
        answers: Mapping[str, Answer],
        address: str = "127.0.0.1",
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.asked: list[str] = []
        self.connections = 0
        self.port = 0
        self._answers = dict(answers)
        self._address = address
        self._context = context
        self._serving: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._address, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    def url(self, path: str = "/") -> str:
        return f"http://{self._address}:{self.port}{path}"

    def put(self, path: str, answer: Answer) -> None:
        self._answers[path] = answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if (task := asyncio.current_task()) is not None:
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            path = head.split()[1].partition("?")[0]
            found = self._answers.get(path, answer("nothing here", "404 Not Found"))
            if isinstance(found, bytes):
                writer.write(found)
            else:
                await found(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client has had enough
        finally:
            writer.close()
