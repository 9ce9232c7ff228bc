"""One endpoint by the official SDK: loaded with the first question, its errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from loom.contracts import ModelError
from loom.models import Endpoint, http_client, printable, status_error

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

UNREADABLE = (ValueError, RecursionError)
"""What comes of an answer that is no JSON."""
MISSHAPED = (*UNREADABLE, TypeError, AttributeError, LookupError)
"""What comes of reading an answer that has another shape than the protocol's."""


class Connection:
    """The SDK's client for *endpoint*, and what its exceptions mean."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._client: AsyncAnthropic | None = None

    async def client(self) -> AsyncAnthropic:
        """The client; making it the first time imports the SDK, in a thread.

        Raises:
            ModelError: there is no key.
        """
        key = self.endpoint.key()
        if self._client is None:
            sdk: Any = await asyncio.to_thread(import_module, "anthropic")
            self._client = self._client or sdk.AsyncAnthropic(
                base_url=self.endpoint.api_base.rstrip("/").removesuffix("/v1"),
                api_key=key or "-",
                max_retries=0,
                timeout=self.endpoint.timeout_sec,
                http_client=http_client(self.endpoint),
            )
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
        import anthropic
        import httpx2

        broken = "MODEL_INTERRUPTED" if is_reading else "MODEL_UNAVAILABLE"
        if isinstance(error.__cause__, ModelError):
            return error.__cause__
        if isinstance(error, anthropic.APIStatusError):
            headers, status = error.response.headers, error.status_code
            return status_error(self.endpoint, status, error.message, headers)
        if isinstance(error, anthropic.APITimeoutError):
            return self._error("MODEL_TIMEOUT", "it did not answer in time")
        if isinstance(error, anthropic.APIResponseValidationError):
            return self._error("MODEL_MALFORMED", error)
        if isinstance(error, anthropic.APIConnectionError):
            return self._error(broken, error.__cause__ or error)
        if isinstance(error, anthropic.AnthropicError):
            return self._error("MODEL_UNAVAILABLE", error)
        if isinstance(error, httpx2.TimeoutException):
            return self._error("MODEL_TIMEOUT", "nothing came for too long")
        if isinstance(error, httpx2.HTTPError):
            return self._error(broken, error)
        return None

    def _error(self, code: Any, what: BaseException | str) -> ModelError:
        text = what if isinstance(what, str) else f"{type(what).__name__}: {what}"
        return ModelError(self.endpoint.name, code, printable(self.endpoint, text))
