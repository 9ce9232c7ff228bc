from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from loom_kernel import Envelope, Host, Runtime, Subscription
from loom_kernel.testing import running

Take = Callable[[Subscription, int], Awaitable[list[Envelope]]]


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    """A running Loom without plugins."""
    async with running() as runtime:
        yield runtime


@pytest.fixture
def host(runtime: Runtime) -> Host:
    return runtime.host("alice")


@pytest.fixture
def other(runtime: Runtime) -> Host:
    return runtime.host("bob")


@pytest.fixture
def take() -> Take:
    """The next so many envelopes of a subscription."""

    async def take(subscription: Subscription, count: int) -> list[Envelope]:
        found = [await subscription.receive() for _ in range(count)]
        return [envelope for envelope in found if envelope is not None]

    return take
