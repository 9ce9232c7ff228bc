"""The parts of one answer while they come: watched, counted, and never changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Self

import msgspec

from loom.contracts import ModelError, ModelPart, ModelReply, ModelRequest, TextDelta, Usage
from loom.models.breaker import Permit
from loom.models.counting import Counter, estimate
from loom.models.endpoint import Endpoint

LONGEST = 32 << 20
"""Characters of one answer; no model writes that much."""
_COUNTED = {"MODEL_UNAVAILABLE", "MODEL_TIMEOUT", "MODEL_INTERRUPTED", "MODEL_MALFORMED"}
"""Failures of the endpoint, which its breaker counts."""


class Parts:
    """See `loom.contracts.ModelDriver.stream`; the reply gets its endpoint, usage and cost."""

    def __init__(
        self,
        endpoint: Endpoint,
        request: ModelRequest,
        source: AsyncIterator[ModelPart],
        permit: Permit,
        counter: Counter,
        deadline: float,
    ) -> None:
        """*deadline* is a time of the event loop."""
        self._endpoint = endpoint
        self._request = request
        self._source = source
        self._permit = permit
        self._counter = counter
        self._deadline = deadline
        self._texts: list[str] = []
        self._length = 0
        self._first: ModelPart | None = None
        self._is_over = False

    async def begin(self) -> None:
        """Wait for the first part.

        Raises:
            ModelError: there is none.
        """
        self._first = await self._next()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ModelPart:
        if self._first is not None:
            part, self._first = self._first, None
            return part
        if self._is_over:
            raise StopAsyncIteration
        return await self._next()

    async def _next(self) -> ModelPart:
        try:
            async with asyncio.timeout_at(self._deadline):
                part = await anext(self._source, None)
            return self._seen(part)
        except TimeoutError:
            text = f"the answer was not complete after {self._endpoint.total_sec:g} s"
            raise self._failed("MODEL_TIMEOUT", text) from None
        except ModelError as error:
            raise self._noted(error) from error.__cause__

    def _seen(self, part: ModelPart | None) -> ModelPart:
        if part is None:
            raise self._failed("MODEL_INTERRUPTED", "the answer has no end")
        if isinstance(part, ModelReply):
            self._is_over = True
            self._permit.succeed()
            return self._finished(part)
        self._length += len(part.text)
        if self._length > LONGEST:
            raise ModelError(
                self._endpoint.name, "MODEL_MALFORMED", f"the answer is over {LONGEST} characters",
                is_final=True,
            )  # fmt: skip
        if isinstance(part, TextDelta):
            self._texts.append(part.text)
        return part

    def _finished(self, reply: ModelReply) -> ModelReply:
        usage = reply.usage
        if usage.input_tokens or usage.output_tokens:
            self._counter.learn(self._request, usage.input_tokens)
        else:
            usage = self._estimated(reply)
        usage = msgspec.structs.replace(usage, cost=self._endpoint.cost(usage))
        return msgspec.structs.replace(reply, usage=usage, endpoint=self._endpoint.name)

    def _estimated(self, reply: ModelReply) -> Usage:
        thought = sum(estimate(one.text) for one in reply.thinking)
        said = estimate(reply.content) + sum(
            estimate(call.written or msgspec.json.encode(call.arguments).decode())
            for call in reply.calls
        )
        asked = self._counter.count_request(self._request)
        return Usage(asked, said + thought, reasoning_tokens=thought, is_estimated=True)

    def _failed(self, code: str, message: str) -> ModelError:
        return self._noted(ModelError(self._endpoint.name, code, message))  # type: ignore[arg-type]  # one of the codes

    def _noted(self, error: ModelError) -> ModelError:
        """*error* with what had come, known to the breaker."""
        self._is_over = True
        note(self._permit, error)
        if self._texts and not error.partial:
            error.partial = "".join(self._texts)
        return error


def note(permit: Permit, error: ModelError) -> None:
    """Tell the breaker what *error* says of the endpoint."""
    if error.code in _COUNTED:
        permit.fail()
    elif error.code == "MODEL_RATE_LIMITED":
        permit.close()
    else:
        permit.succeed()  # it answers, if only with no
