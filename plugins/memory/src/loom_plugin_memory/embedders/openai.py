"""The embedder `openai`: any server with OpenAI's `/embeddings`.

https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import asyncio
import math
import os
import re
from array import array
from collections.abc import Mapping, Sequence
from sys import byteorder
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from loom.contracts import EmbedderUnavailable
from loom_kernel import ConfigError

if TYPE_CHECKING:
    import httpx2

LONGEST = 8_000
"""Letters of a text that are sent: models take some thousand tokens."""
ANSWER = 64 << 20
"""Bytes of the longest answer."""
_KEY = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owner sets."""

    url: str
    """Up to and with `/v1`."""
    model: str
    dimension: Annotated[int, msgspec.Meta(ge=1, le=65_536)]
    key: str = ""
    """`env:VARIABLE`; empty = none is sent."""
    timeout: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    batch: Annotated[int, msgspec.Meta(ge=1, le=2048)] = 64
    floor: Annotated[float, msgspec.Meta(ge=-1, le=1)] = 0.25


class _Row(msgspec.Struct):
    index: int
    embedding: list[float]


class _Answer(msgspec.Struct):
    data: list[_Row]


class OpenAIEmbedder:
    """See `loom.contracts.Embedder` and `Options`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        try:
            self._options = msgspec.convert(dict(options), Options)
        except msgspec.ValidationError as error:
            raise ConfigError(f"[plugins.memory.embedding] for openai: {error}") from error
        if not self._options.url.startswith(("http://", "https://")):
            raise ConfigError(f"url is {self._options.url!r}; it must begin with http(s)://")
        named = _KEY.fullmatch(self._options.key)
        if self._options.key and named is None:
            raise ConfigError("key must be a reference such as 'env:OPENAI_API_KEY', never a key")
        self._variable = named.group(1) if named else ""
        self.dimension = self._options.dimension
        self.floor = self._options.floor
        self.name = f"openai/{self._options.url}/{self._options.model}/{self.dimension}"
        self._client: httpx2.AsyncClient | None = None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        vectors: list[bytes] = []
        for first in range(0, len(texts), self._options.batch):
            vectors += await self._embed(texts[first : first + self._options.batch])
        return vectors

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def _embed(self, texts: Sequence[str]) -> list[bytes]:
        # Servers refuse an empty text.
        wanted = [text[:LONGEST] if text.strip() else "-" for text in texts]
        body = await self._post({"model": self._options.model, "input": wanted})
        try:
            rows = sorted(msgspec.json.decode(body, type=_Answer).data, key=lambda row: row.index)
        except msgspec.DecodeError as error:
            raise self._problem(f"its answer is none: {error}") from None
        if [row.index for row in rows] != list(range(len(texts))):
            raise self._problem(f"it sent {len(rows)} vectors for {len(texts)} texts")
        return [self._vector(row.embedding) for row in rows]

    async def _post(self, asked: dict[str, Any]) -> bytes:
        import httpx2

        if self._client is None:
            self._client = httpx2.AsyncClient(timeout=self._options.timeout, trust_env=False)
        url = f"{self._options.url.rstrip('/')}/embeddings"
        body = bytearray()
        try:
            async with (
                asyncio.timeout(self._options.timeout),  # httpx's own is for each part of it
                self._client.stream("POST", url, json=asked, headers=self._head()) as answer,
            ):
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > ANSWER:
                        raise self._problem("its answer is too long")
        except (httpx2.HTTPError, TimeoutError) as error:
            raise self._problem(f"{type(error).__name__}: {error}") from None
        if answer.status_code != 200:
            raise self._problem(f"it answered with status {answer.status_code}")
        return bytes(body)

    def _head(self) -> dict[str, str]:
        if not self._variable:
            return {}
        key = os.environ.get(self._variable, "")
        if not key or not key.isascii() or not key.isprintable():
            raise self._problem(f"there is no key: set {self._variable}")
        return {"Authorization": f"Bearer {key}"}

    def _vector(self, numbers: list[float]) -> bytes:
        if len(numbers) != self.dimension:
            raise self._problem(
                f"its vectors have {len(numbers)} numbers, dimension is {self.dimension}"
            )
        if not all(math.isfinite(number) and abs(number) < 1e30 for number in numbers):
            raise self._problem("a vector of its holds something that is no number")
        vector = array("f", numbers)
        if byteorder == "big":
            vector.byteswap()
        return vector.tobytes()

    def _problem(self, what: str) -> EmbedderUnavailable:
        return EmbedderUnavailable(f"{self._options.url} makes no vectors: {what}")
