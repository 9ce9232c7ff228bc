"""The runtime that agents of a script share: one per event loop, from the first to the last."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from weakref import WeakKeyDictionary

from loom_kernel import Config, Host, Paths, Runtime, find_paths, installed, load_config

PLUGINS = ("agents", "native", "tools")


class _Shared:
    """A runtime, its users, and the lock under which they come and go."""

    def __init__(self) -> None:
        self.users = 0
        self.lock = asyncio.Lock()
        self.stack = AsyncExitStack()
        self.host: Host | None = None


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


async def enter() -> Host:
    """A host on this event loop's runtime, which is started for the first user."""
    shared = _shared.setdefault(asyncio.get_running_loop(), _Shared())
    async with shared.lock:
        if shared.host is None:
            shared.host = await _start(shared.stack)
        shared.users += 1
        return shared.host


async def leave() -> None:
    """Undo one `enter`; the last one stops the runtime."""
    shared = _shared[asyncio.get_running_loop()]
    async with shared.lock:
        shared.users -= 1
        if shared.users == 0:
            shared.host = None
            await shared.stack.aclose()


async def _start(stack: AsyncExitStack) -> Host:
    here = await asyncio.to_thread(Path.cwd)
    project = here if await asyncio.to_thread((here / "loom.toml").is_file) else None
    state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loom-")))
    paths: Paths = find_paths(project, state)
    config: Config = load_config(paths)
    known = installed(str(paths.cache))
    runtime = Runtime(
        paths, config, [name for name in PLUGINS if name in known], profile="embedded"
    )
    await stack.enter_async_context(runtime)
    return runtime.host("script")
