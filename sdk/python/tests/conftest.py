from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from loom_kernel import Runtime
from loom_kernel.testing import VirtualClock, run_virtual, running, wait_until

Scene = Callable[[Runtime], Coroutine[Any, Any, None]]


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    """A runtime with the plugins that agents need."""
    async with running("agents", "tools") as runtime:
        yield runtime


def private(runtime: Runtime) -> list[str]:
    """What a collaboration subscribed to and has not closed."""
    names = [str(known["name"]) for known in runtime.status()["subscriptions"]]
    return [name for name in names if name.startswith(("inbox:", "barrier:")) or "$inbox" in name]


@pytest.fixture
def virtually() -> Callable[[Scene], None]:
    """Plays a scene on a runtime in virtual time, and sees that no subscription is left of it."""

    def play(scene: Scene) -> None:
        async def main() -> None:
            async with running(clock=VirtualClock()) as runtime:
                await scene(runtime)
                await wait_until(lambda: not private(runtime))

        run_virtual(main)

    return play
