"""What a tool call costs: `python -m tests.bench.tools CASE SECONDS` prints JSON figures in µs.

One caller, one call after the other, 1 KiB each way. Median and the 99th percentile of wall time,
and CPU time a call.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from time import perf_counter, process_time
from typing import Any

from loom import ToolProvider, call_tool
from loom.contracts import (
    Capsule,
    Command,
    Confinement,
    Preparation,
    Sandbox,
    ToolCall,
    ToolDescriptor,
    canonical,
)
from loom_kernel.testing import running

from tests.bench import wasm

ARGUMENTS = {"text": "x" * 1_000}
SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
WARM = 200
PAUSE = 0.001
"""Seconds between two calls, where what can be done between calls is not to be measured."""
Once = Callable[[], Awaitable[Any]]


async def echo(call: ToolCall) -> Any:
    return {"text": call.arguments["text"]}


@asynccontextmanager
async def function() -> AsyncIterator[Once]:
    """The limit: the tool itself."""
    call = ToolCall("echo:say", ARGUMENTS)
    yield lambda: echo(call)


@asynccontextmanager
async def request() -> AsyncIterator[Once]:
    """A request over the bus and its reply, without a broker."""
    async with running() as runtime:
        host = runtime.host("echo")

        async def answer(envelope: Any) -> None:
            await host.reply(envelope, envelope.data)

        host.on("echo.say", handler=answer)
        caller = runtime.host("caller")
        yield lambda: caller.request("echo.say", ARGUMENTS)


@asynccontextmanager
async def brokered(*plugins: str) -> AsyncIterator[Once]:
    async with running("tools", *plugins) as runtime:
        provider = ToolProvider(runtime.host("echo"))
        provider.add(ToolDescriptor("echo:say", "Say it again", SCHEMA), echo)
        await provider.start()
        caller = runtime.host("caller")
        yield lambda: call_tool(caller, ToolCall("echo:say", ARGUMENTS))


@asynccontextmanager
async def capsule() -> AsyncIterator[Once]:
    """What an executor does to hold a call against what was approved."""
    prepared = Preparation("say", "/", (), {"a": "b" * 64})
    sealed = Capsule(
        id="1", call="1", principal="caller", tool="echo:say", version="1.0", owner="echo",
        definition="d" * 64, arguments=canonical(ARGUMENTS).decode(), preparation=prepared,
        expires=2e9, nonce="n",
    )  # fmt: skip

    async def check() -> None:
        if sealed.problem("echo:say", "1.0", ARGUMENTS, prepared, 0.0) or not sealed.digest():
            raise AssertionError

    yield check


async def run(argv: tuple[str, ...], environment: Mapping[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(*argv, env=dict(environment))
    if await process.wait():
        raise AssertionError(argv)


@asynccontextmanager
async def bubblewrap() -> AsyncIterator[Once]:
    """The limit: bubblewrap alone around a program that does nothing."""
    bare = ("bwrap", "--ro-bind", "/", "/", "--unshare-all", "--", "/usr/bin/true")

    yield lambda: run(bare, {})


@asynccontextmanager
async def sandboxed() -> AsyncIterator[Once]:
    async with running("sandbox") as runtime:
        sandbox = runtime.host("x").require(Sandbox)
        command = sandbox.confine(Command(("/usr/bin/true",)), Confinement())

        yield lambda: run(command.argv, command.environment)


CASES: dict[str, Callable[[], Any]] = {
    "function": function,
    "request": request,
    "broker": brokered,
    "broker-audit": lambda: brokered("audit"),
    "capsule": capsule,
    "bubblewrap": bubblewrap,
    "sandbox": sandboxed,
    **{f"{kind}-limit": partial(wasm.limit, kind) for kind in wasm.KINDS},
    **{f"{kind}-warm": partial(wasm.worker, kind) for kind in wasm.KINDS},
    **{f"{kind}-worker": partial(wasm.worker, kind) for kind in wasm.KINDS},
    **{f"{kind}-broker": partial(wasm.brokered, kind) for kind in wasm.KINDS},
}


async def measure(case: str, seconds: float) -> dict[str, float]:
    """Call as often as fits into *seconds*."""
    async with CASES[case]() as once:
        for _ in range(3 if case in ("bubblewrap", "sandbox") else WARM):
            await once()
        times: list[float] = []
        cpu, end = process_time(), perf_counter() + seconds
        while (began := perf_counter()) < end:
            await once()
            times.append(perf_counter() - began)
            if case.endswith(("-limit", "-warm")):
                await asyncio.sleep(PAUSE)
        cpu = process_time() - cpu
    times.sort()
    return {
        "p50_us": times[len(times) // 2] * 1e6,
        "p99_us": times[len(times) * 99 // 100] * 1e6,
        "cpu_us": cpu / len(times) * 1e6,
    }


def main() -> None:
    sys.stdout.write(json.dumps(asyncio.run(measure(sys.argv[1], float(sys.argv[2])))) + "\n")


if __name__ == "__main__":
    main()
