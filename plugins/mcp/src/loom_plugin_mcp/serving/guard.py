"""Who may come in over HTTP: whoever holds the token, on this machine, and no web page."""

from __future__ import annotations

import hmac
import os
import secrets
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from loom_kernel import Clock, Paths, private_dir

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

FILE = "token"
TRIES = 10
"""Wrong tokens a minute; what comes beyond is told to wait."""
MINUTE = 60.0


def read_token(paths: Paths) -> str:
    """The token in the private file of the plugin's state folder; made, if there is none yet."""
    file = private_dir(paths.of("mcp").state) / FILE
    try:
        return file.read_text("ascii").strip()
    except FileNotFoundError:
        token = f"loom_mcp_{secrets.token_hex(32)}"
        return token if _create(file, token) else file.read_text("ascii").strip()


def _create(file: Path, token: str) -> bool:
    """Put *token* into *file*, for its owner only, unless somebody else just did."""
    draft = file.with_name(f".{FILE}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        output.write(token.encode() + b"\n")
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


class Guard:
    """An ASGI application that lets through to another one only what may come in."""

    def __init__(self, inner: ASGIApp, token: Callable[[], str], port: int, clock: Clock) -> None:
        self._inner = inner
        self._token = token
        self._clock = clock
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._wrong: deque[float] = deque(maxlen=TRIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)):
            await _answer(send, *refusal)
        elif scope["type"] in ("http", "lifespan"):
            await self._inner(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and text for whoever may not come in."""
        hosts, origins, tokens = (
            [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]
            for wanted in (b"host", b"origin", b"authorization")
        )
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 403, "this Host is not served here; use the loopback address"
        if origins and set(origins) - {f"http://{host}" for host in self._hosts}:
            return 403, "web pages of other origins may not come in"
        if len(tokens) == 1 and self._is_right(tokens[0]):
            has_streams = scope["method"] == "GET"
            return (405, "this server has nothing to tell unasked") if has_streams else None
        now = self._clock.monotonic()
        is_busy = len(self._wrong) == TRIES and now - self._wrong[0] < MINUTE
        self._wrong.append(now)
        if is_busy:
            return 429, "too many wrong tokens; wait a minute"
        return 401, "a token is needed: `Authorization: Bearer …`, see `loom mcp token`"

    def _is_right(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        is_known = hmac.compare_digest(token.encode(), self._token().encode())
        return scheme.lower() == "bearer" and is_known


async def _answer(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    if status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="loom"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
