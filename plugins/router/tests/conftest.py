from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom import call_tool
from loom.contracts import (
    RouteDecision,
    Router,
    RouteRequest,
    ToolCall,
    ToolError,
)
from loom.testing.models import Answer, Asked, FakeModels
from loom_kernel import Envelope, Runtime
from loom_kernel.testing import EventRecorder, running

HERE = {"model": "small", "retry_base_sec": 0.001, "retries": 0, "breaker_failures": 1000}
THERE = {
    "model": "large", "retry_base_sec": 0.001, "retries": 0, "breaker_failures": 1000,
    "is_local": False, "trusted": True, "input_price": 1.0, "output_price": 5.0,
}  # fmt: skip


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class House:
    """A runtime with a router, a model here and one that counts as elsewhere."""

    def __init__(self, runtime: Runtime, here: FakeModels, there: FakeModels) -> None:
        self.runtime = runtime
        self.here = here
        self.there = there
        self.ada = runtime.host("ada")
        self.events = EventRecorder(runtime.host("witness"), "router.>", "tool.call.>", "llm.>")

    @property
    def router(self) -> Router:
        return self.ada.require(Router)

    def decide(
        self, text: str = "Hello", cause: Envelope | None = None, agent: str = "ada", **more: Any
    ) -> RouteDecision:
        details = {"text": text, "characters": len(text), **more.pop("details", {})}
        return self.router.decide(RouteRequest(agent, details=details, **more), cause)

    async def think(self, prompt: str = "Hello", /, **arguments: Any) -> Any:
        return await self.call({"prompt": prompt, **arguments})

    async def call(self, arguments: dict[str, Any], tool: str = "llm:think") -> Any:
        result = await call_tool(self.ada, ToolCall(tool, arguments))
        if not result.is_ok:
            assert result.error is not None
            raise ToolError(tool, result.code, result.error.message, result.error.details)
        return result.output


@asynccontextmanager
async def housed(
    here: Any = None,
    there: Any = None,
    *plugins: str,
    sure: float | None = None,
    llm: dict[str, Any] | None = None,
    local: bool = True,
    cloud: bool = True,
    state: Path | None = None,
    tables: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[House]:
    """A house whose estimator says *sure* (None = the real one); *settings* are the router's."""
    if sure is not None:
        settings["estimators"] = ["constant"]
        settings["estimating"] = {"constant": {"value": sure}}
    async with FakeModels(here or near_by) as near, FakeModels(there or far_away) as remote:
        found: dict[str, Any] = {}
        if local:
            found["small"] = {**HERE, "api_base": near.url}
        if cloud:
            found["large"] = {**THERE, "api_base": remote.url}
        for name, table in (llm or {}).items():
            found[name] = {**found.get(name, {}), **table}
            found[name].setdefault("api_base", remote.url)
        config = {"llm": found, "plugins": {"router": settings}, **(tables or {})}
        names = ("tools", "models", "router", *plugins)
        async with running(*names, config=config, state=state) as runtime:
            yield House(runtime, near, remote)


def near_by(asked: Asked) -> Answer:
    return Answer(f"here: {asked.prompt}")


def far_away(asked: Asked) -> Answer:
    return Answer(f"there: {asked.prompt}", tokens=(10, 20))
