from __future__ import annotations

import shutil
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom_kernel import Clock, Runtime
from loom_kernel.testing import EventRecorder, running

APP = Path(__file__).parents[1]
PLUGINS = ("agents", "journal", "tools")
TOPICS = ("market.>", "analysis.>", "plan.>", "execution.>", "$loom.error")

Market = Callable[..., AbstractAsyncContextManager[tuple[Runtime, EventRecorder]]]


@pytest.fixture
def market(tmp_path: Path) -> Market:
    """The app in a folder of its own, with the agents that are named (all, if none is)."""

    @asynccontextmanager
    async def start(
        *agents: str,
        tables: Mapping[str, Mapping[str, Any]] | None = None,
        grants: tuple[str, ...] = (),
        clock: Clock | None = None,
    ) -> AsyncIterator[tuple[Runtime, EventRecorder]]:
        root = tmp_path / "app"
        root.mkdir(exist_ok=True)
        (root / "agents").mkdir(exist_ok=True)
        shutil.copytree(APP / "feed", root / "feed", dirs_exist_ok=True)
        for file in (APP / "agents").glob("*.py"):
            if not agents or file.stem in agents:
                shutil.copy(file, root / "agents")
        config = tomllib.loads((APP / "loom.toml").read_text("utf-8"))
        config["plugins"]["agents"]["run"] = "embedded"
        config["plugins"]["tools"] = {"grants": {"executor": list(grants)}}
        for agent in list(config["agents"]):
            if agents and agent not in agents:
                del config["agents"][agent]
            else:
                config["agents"][agent] |= (tables or {}).get(agent, {})
        async with running(
            *PLUGINS, config=config, project=root, state=root / ".loom", clock=clock
        ) as runtime:
            yield runtime, EventRecorder(runtime.host("watcher"), *TOPICS)

    return start
