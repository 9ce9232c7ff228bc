"""Starting real runtimes in tests."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loom_kernel.catalogue import installed
from loom_kernel.clock import Clock
from loom_kernel.config import Config, Source
from loom_kernel.paths import Paths, find_paths
from loom_kernel.runtime import Runtime


@asynccontextmanager
async def running(
    *plugins: str,
    config: Mapping[str, Any] | None = None,
    project: Path | None = None,
    state: Path | None = None,
    clock: Clock | None = None,
    seed: int = 0,
    strict: bool = True,
) -> AsyncIterator[Runtime]:
    """A runtime with *plugins* (installed ones, by name) in folders of its own.

    *config* is what `loom.toml` would hold; *state* keeps the state folder for a later run;
    *strict* fails if a plugin is quarantined.
    """
    with tempfile.TemporaryDirectory(prefix="loom-") as base:
        paths = Paths(
            config=Path(base, "config"),
            state=state or Path(base, "state"),
            cache=Path(base, "cache"),
            project=project,
        )
        layers = Config([Source("test", dict(config or {}))], {})
        entries = installed(str(find_paths().cache))  # scanning costs more than all the rest
        runtime = Runtime(
            paths, layers, plugins, profile="test", clock=clock, seed=seed, entries=entries
        )
        async with runtime:
            if strict and runtime.quarantined:
                reasons = [f"{q.name}: {q.stage}: {q.reason}" for q in runtime.quarantined.values()]
                raise AssertionError("; ".join(reasons))
            yield runtime


async def wait_until(
    predicate: Callable[[], object], timeout: float = 5.0, every: float = 0.005
) -> None:
    """Wait until *predicate* is true, looking *every* so many seconds.

    Raises:
        AssertionError: it was not after *timeout* seconds.
    """
    try:
        async with asyncio.timeout(timeout):
            while not predicate():  # noqa: ASYNC110  # whoever makes it true does not know us
                await asyncio.sleep(every)
    except TimeoutError:
        raise AssertionError(f"not true after {timeout:g} s: {predicate}") from None
