from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom import Context
from loom.testing.models import Answer, Asked, FakeModels
from loom_kernel import Clock, Runtime
from loom_kernel.testing import EventRecorder, running


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class House:
    """A runtime with models, the server they are at, and what is told of them."""

    def __init__(self, runtime: Runtime, models: FakeModels) -> None:
        self.runtime = runtime
        self.models = models
        self.agent = Context(runtime.host("ada"), "ada")
        self.events = EventRecorder(runtime.host("witness"), "llm.>", "tool.call.>")

    async def generate(self, **arguments: Any) -> Any:
        return await self.agent.tool("llm:generate", arguments)


@asynccontextmanager
async def housed(
    script: Any,
    *plugins: str,
    tables: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    state: Path | None = None,
    clock: Clock | None = None,
    **more: Any,
) -> AsyncIterator[House]:
    """A house whose `[llm.fast]` is at a server with *script*; *more* are settings of it."""
    async with FakeModels(script) as models:
        own = {"model": "m", "api_base": models.url, "retry_base_sec": 0.001, **more}
        llm = {"fast": own, **(tables or {})}
        found = {**(config or {}), "llm": llm}
        async with running(
            "tools", "models", *plugins, config=found, state=state, clock=clock
        ) as runtime:
            yield House(runtime, models)


def thinker(asked: Asked) -> Answer:
    """An answer with thoughts that repeats the question."""
    text = f"You said: {asked.prompt}"
    return Answer(text, thinking="Let me repeat.", tokens=(30, 7), pause=0.01)
