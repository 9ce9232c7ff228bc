"""One endpoint, asked with patience: tried again, left alone when it fails, never told secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Literal

from loom_kernel import Clock, LoomError

from loom.contracts import ModelDriver, ModelError, ModelPart, ModelRecord, ModelRequest
from loom.models.breaker import Breaker, Permit
from loom.models.counting import Counter
from loom.models.drivers import make_driver
from loom.models.endpoint import Endpoint
from loom.models.parts import Parts, note

HELD = frozenset({"local-only", "private"})
"""Labels of what must not leave this machine."""


class Client:
    """Asks *endpoint*. Its driver is loaded with the first question."""

    def __init__(self, endpoint: Endpoint, clock: Clock, random: Random) -> None:
        self.endpoint = endpoint
        self.counter = Counter()
        self._clock = clock
        self._random = random
        self._breaker = Breaker(endpoint.breaker_failures, endpoint.breaker_reset_sec, clock)
        self._driver: ModelDriver | None = None
        self._is_unauthorized = False

    @property
    def record(self) -> ModelRecord:
        """What everybody may know of it."""
        return self.endpoint.record(self._state())

    def _state(self) -> Literal["ready", "open", "unauthorized"]:
        if self._breaker.state == "open":
            return "open"
        return "unauthorized" if self._is_unauthorized else "ready"

    @asynccontextmanager
    async def stream(
        self, request: ModelRequest, labels: frozenset[str]
    ) -> AsyncIterator[AsyncIterator[ModelPart]]:
        """Ask, and again as the settings say, until the first part is there.

        Raises:
            ModelError: MODEL_REFUSED before anything is sent if *labels* forbid it, else what
                came of the last try; also while the parts come.
        """
        self._check(labels)
        async with AsyncExitStack() as stack:
            yield await self._tried(request, stack)

    async def aclose(self) -> None:
        """End all connections."""
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.aclose()

    def _check(self, labels: frozenset[str]) -> None:
        if not self.endpoint.is_local and (held := HELD & labels):
            why = f"what is {' and '.join(sorted(held))} must not leave this machine"
            raise ModelError(self.endpoint.name, "MODEL_REFUSED", why, is_final=True)

    async def _tried(self, request: ModelRequest, stack: AsyncExitStack) -> Parts:
        for attempt in range(self.endpoint.retries + 1):
            try:
                return await self._try(request, stack)
            except ModelError as error:
                pause = self._pause(attempt, error)
                if pause is None:
                    raise
            await self._clock.sleep(pause)
        raise AssertionError("the last try raises or returns")

    async def _try(self, request: ModelRequest, stack: AsyncExitStack) -> Parts:
        permit = self._breaker.admit()
        if permit is None:
            left = self._breaker.left
            raise ModelError(
                self.endpoint.name, "MODEL_CIRCUIT_OPEN",
                f"it failed too often and is left alone for {left:.0f} s",
                retry_after=left,
            )  # fmt: skip
        async with AsyncExitStack() as own:
            own.callback(permit.close)
            parts = await self._begun(request, permit, own)
            stack.push_async_exit(own.pop_all())
            return parts

    async def _begun(self, request: ModelRequest, permit: Permit, stack: AsyncExitStack) -> Parts:
        """The answer to one question, its first part waiting; *stack* ends it."""
        endpoint = self.endpoint
        try:
            asking = self._opened().stream(request)
            deadline = asyncio.get_running_loop().time() + endpoint.total_sec
            async with asyncio.timeout_at(deadline):
                source = await stack.enter_async_context(asking)
            parts = Parts(endpoint, request, source, permit, self.counter, deadline)
            await parts.begin()
        except TimeoutError:
            text = f"no answer within {endpoint.total_sec:g} s"
            permit.fail()
            raise ModelError(endpoint.name, "MODEL_TIMEOUT", text) from None
        except ModelError as error:
            note(permit, error)
            self._is_unauthorized = error.code == "MODEL_UNAUTHORIZED"
            raise
        self._is_unauthorized = False
        return parts

    def _opened(self) -> ModelDriver:
        if self._driver is None:
            try:
                self._driver = make_driver(self.endpoint)
            except LoomError as error:
                raise ModelError(
                    self.endpoint.name, "MODEL_UNAVAILABLE", str(error), is_final=True
                ) from error
        return self._driver

    def _pause(self, attempt: int, error: ModelError) -> float | None:
        """Seconds until the next try, with full jitter; None = there is none.

        https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        """
        endpoint = self.endpoint
        if error.is_final or attempt >= endpoint.retries or self._breaker.state != "closed":
            return None
        wanted = error.retry_after or 0.0
        if wanted > endpoint.retry_max_sec:
            return None
        longest = min(endpoint.retry_base_sec * 2**attempt, endpoint.retry_max_sec)
        return max(wanted, self._random.uniform(0, longest))
