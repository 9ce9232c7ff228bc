from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
from loom import Context
from loom.memory import Memory
from loom_kernel import Runtime
from loom_kernel.testing import running

Start = Callable[..., AbstractAsyncContextManager[Runtime]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def life(tmp_path: Path) -> Start:
    """Starts a runtime with the memory; each one goes on where the one before ended."""
    return partial(running, "memory", state=tmp_path / "state")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the memory of `life` is."""
    return tmp_path / "state" / "plugins" / "memory" / "memory.db"


def memory_of(runtime: Runtime, agent: str, session: str = "main") -> Memory:
    """What an agent of that id has as `ctx.memory`."""
    return Context(runtime.host(agent), agent).memory.session(session)
