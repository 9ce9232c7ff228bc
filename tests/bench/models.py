"""What a model's turn costs: `python -m tests.bench.models CASE SECONDS` prints JSON figures in µs.

One question after the other to a scripted server in a process of its own, answered in 40 parts:
the time of the whole turn, and until the first text. The model itself takes no time.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from anthropic import AsyncAnthropic
from loom import Context, LLMProvider
from loom_kernel.testing import running
from openai import AsyncOpenAI

QUESTION = "Say again: " + "one two three four five six seven. " * 9
WARM = 20
Ask = Callable[[Callable[[], None]], Awaitable[None]]
"""Asks once; calls what it is given when the first text is there."""


@asynccontextmanager
async def server() -> AsyncIterator[str]:
    """The address of a server that says again what it is told."""
    command = (sys.executable, "-m", "loom.testing.models", "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    try:
        yield line.split(";")[0].split()[-1]
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def raw_chat(url: str) -> AsyncIterator[Ask]:
    """The limit: the official SDK alone."""
    async with AsyncOpenAI(base_url=url, api_key="k", max_retries=0) as client:

        async def ask(first: Callable[[], None]) -> None:
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": QUESTION}], stream=True,
                stream_options={"include_usage": True},
            )  # fmt: skip
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    first()

        yield ask


@asynccontextmanager
async def raw_messages(url: str) -> AsyncIterator[Ask]:
    base = url.removesuffix("/v1")
    async with AsyncAnthropic(base_url=base, api_key="k", max_retries=0) as client:

        async def ask(first: Callable[[], None]) -> None:
            stream = await client.messages.create(
                model="m", max_tokens=999, stream=True,
                messages=[{"role": "user", "content": QUESTION}],
            )  # fmt: skip
            async for event in stream:
                if event.type == "content_block_delta":
                    first()

        yield ask


def asking(llm: LLMProvider) -> Ask:
    async def ask(first: Callable[[], None]) -> None:
        async for _ in llm.generate_stream(QUESTION):
            first()

    return ask


@asynccontextmanager
async def direct(url: str, type: str) -> AsyncIterator[Ask]:
    config = {"llm": {"x": {"model": "m", "api_base": url, "type": type}}}
    async with LLMProvider.from_config(None, "x", config) as llm:
        yield asking(llm)


@asynccontextmanager
async def runtime(url: str) -> AsyncIterator[Ask]:
    llm = {"x": {"model": "m", "api_base": url}}
    async with running("tools", "budgets", "models", config={"llm": llm}) as started:
        yield asking(LLMProvider.from_runtime(Context(started.host("ada"), "ada")))


CASES: dict[str, Callable[[str], Any]] = {
    "raw-chat": raw_chat,
    "raw-messages": raw_messages,
    "chat": lambda url: direct(url, "http"),
    "messages": lambda url: direct(url, "anthropic"),
    "runtime": runtime,
}


async def measure(case: str, seconds: float) -> dict[str, float]:
    """Ask as often as fits into *seconds*."""
    turns: list[float] = []
    firsts: list[float] = []
    async with server() as url, CASES[case](url) as ask:
        end = perf_counter() + seconds
        while perf_counter() < end or len(turns) < 2 * WARM:
            seen: list[float] = []
            began = perf_counter()
            await ask(lambda seen=seen: seen or seen.append(perf_counter()))
            turns.append(perf_counter() - began)
            firsts.append(seen[0] - began)
    return {"p50_us": median(turns[WARM:]), "first_us": median(firsts[WARM:])}


def median(times: list[float]) -> float:
    return sorted(times)[len(times) // 2] * 1e6


def main() -> None:
    sys.stdout.write(json.dumps(asyncio.run(measure(sys.argv[1], float(sys.argv[2])))) + "\n")


if __name__ == "__main__":
    main()
