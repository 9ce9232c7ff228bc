"""A driver on an official SDK: loaded with the first question, its errors in our words.

OpenAI's and Anthropic's SDKs are made by one generator (https://www.stainless.com): their clients
and exceptions have the same names and shapes, and what differs is said by an `Sdk`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from loom.contracts import ModelError, ModelPart, ModelReply, ModelRequest
from loom.models.endpoint import Endpoint
from loom.models.errors import printable, status_error
from loom.models.http import http_client

UNREADABLE = (ValueError, RecursionError)
"""What comes of an answer that is no JSON."""
MISSHAPED = (*UNREADABLE, TypeError, AttributeError, LookupError)
"""What comes of reading an answer that has another shape than the protocol's."""


class Sdk(NamedTuple):
    """Where an SDK has what a driver needs."""

    module: str
    client: str
    """The name of its asynchronous client."""
    error: str
    """The name of what all its exceptions are."""
    suffix: str = ""
    """What it adds to an address by itself."""


class Gathering(Protocol):
    """Puts an answer together; made with the endpoint and the request."""

    def take(self, event: Any) -> Iterator[ModelPart]:
        """What is new in *event* of a streamed answer."""
        ...

    def take_whole(self, answer: Any) -> Iterator[ModelPart]:
        """What an answer in one piece says, but for the reply."""
        ...

    def reply(self) -> ModelReply:
        """All that was taken.

        Raises:
            ModelError: it is not complete.
        """
        ...


class SdkDriver:
    """See `loom.contracts.ModelDriver`.

    *body(endpoint, request)* is what the SDK is asked with, *create(client)* the method that asks,
    and *gather(endpoint, request)* puts its answer together.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        sdk: Sdk,
        body: Callable[[Endpoint, ModelRequest], dict[str, Any]],
        create: Callable[[Any], Callable[..., Any]],
        gather: Callable[[Endpoint, ModelRequest], Gathering],
    ) -> None:
        self._endpoint = endpoint
        self._connection = _Connection(endpoint, sdk)
        self._body = body
        self._create = create
        self._gather = gather

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelPart]]:
        client = await self._connection.client()
        body = self._body(self._endpoint, request)
        with self._connection.translated(is_reading=False):
            answer: Any = await self._create(client)(**body)
        gathered = self._gather(self._endpoint, request)
        if not self._endpoint.stream:
            async with aclosing(self._whole(answer, gathered)) as parts:
                yield parts
            return
        async with answer, aclosing(self._parts(answer, gathered)) as parts:
            yield parts

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def _parts(self, answer: Any, gathered: Gathering) -> AsyncGenerator[ModelPart, None]:
        with self._connection.translated(is_reading=True):
            async for event in answer:
                for part in gathered.take(event):
                    yield part
            yield gathered.reply()

    async def _whole(self, answer: Any, gathered: Gathering) -> AsyncGenerator[ModelPart, None]:
        with self._connection.translated(is_reading=True):
            for part in gathered.take_whole(answer):
                yield part
            yield gathered.reply()


class _Connection:
    """The SDK's client for *endpoint*, and what its exceptions mean."""

    def __init__(self, endpoint: Endpoint, sdk: Sdk) -> None:
        self._endpoint = endpoint
        self._sdk = sdk
        self._client: Any = None

    async def client(self) -> Any:
        """The client; making it the first time imports the SDK, in a thread.

        Raises:
            ModelError: there is no key.
        """
        key = self._endpoint.key()
        if self._client is None:
            module = await asyncio.to_thread(import_module, self._sdk.module)
            make = getattr(module, self._sdk.client)
            base = self._endpoint.api_base
            if self._sdk.suffix:
                base = base.rstrip("/").removesuffix(self._sdk.suffix)
            self._client = self._client or make(
                base_url=base, api_key=key or "-", max_retries=0,
                timeout=self._endpoint.timeout_sec, http_client=http_client(self._endpoint),
            )  # fmt: skip
        return self._client

    @contextmanager
    def translated(self, *, is_reading: bool) -> Iterator[None]:
        """Turn what the SDK raises, and what an answer without sense does, into a `ModelError`.

        *is_reading*: the answer has begun.
        """
        malformed = MISSHAPED if is_reading else UNREADABLE
        try:
            yield
        except ModelError:
            raise
        except malformed as error:
            raise self._error("MODEL_MALFORMED", error) from error
        except Exception as error:
            if (found := self._of_sdk(error, is_reading)) is None:
                raise
            raise found from error

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _of_sdk(self, error: Exception, is_reading: bool) -> ModelError | None:
        import httpx2

        sdk: Any = import_module(self._sdk.module)
        broken = "MODEL_INTERRUPTED" if is_reading else "MODEL_UNAVAILABLE"
        if isinstance(error.__cause__, ModelError):
            return error.__cause__
        if isinstance(error, sdk.APIStatusError):
            told: Any = error
            headers, status = told.response.headers, told.status_code
            return status_error(self._endpoint, status, told.message, headers)
        if isinstance(error, sdk.APITimeoutError):
            return self._error("MODEL_TIMEOUT", "it did not answer in time")
        if isinstance(error, sdk.APIResponseValidationError):
            return self._error("MODEL_MALFORMED", error)
        if isinstance(error, sdk.APIConnectionError):
            return self._error(broken, error.__cause__ or error)
        if isinstance(error, getattr(sdk, self._sdk.error)):
            return self._error("MODEL_UNAVAILABLE", error)
        if isinstance(error, httpx2.TimeoutException):
            return self._error("MODEL_TIMEOUT", "nothing came for too long")
        if isinstance(error, httpx2.HTTPError):
            return self._error(broken, error)
        return None

    def _error(self, code: Any, what: BaseException | str) -> ModelError:
        text = what if isinstance(what, str) else f"{type(what).__name__}: {what}"
        return ModelError(self._endpoint.name, code, printable(self._endpoint, text))
