"""What thinking costs: `python -m tests.bench.cognition CASE SECONDS` prints JSON figures.

Tokens of a recorded task of thirty steps, replayed with and without context engineering; and the
time that a turn takes besides the model, which here answers at once. The mind knows nothing but
what its prompt says: it adds up a number from each file in its thoughts, and its answer is the sum.
What a prompt leaves out it cannot add.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from time import perf_counter
from typing import Any

from loom import CognitiveAgent, CognitiveConfig, CognitiveResult, Context, ToolError, ToolProvider
from loom.contracts import (
    Message,
    ModelPart,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolDescriptor,
    ToolUse,
)
from loom.models import estimate, estimate_request
from loom_kernel.testing import running

STEPS = 30
MISSING = (7, 19)
"""Steps whose file is not there."""
SIZES = (20, 45, 90, 160, 260)
"""Lines of the files, in turn: 1 to 12 KB."""
WINDOW = 1_000_000
PATH = {
    "type": "object",
    "properties": {"path": {"type": "string"}},
    "required": ["path"],
    "additionalProperties": False,
}
_FACT = re.compile(r"total_of_this_file = (\d+)")
_SUM = re.compile(r"The sum so far is (\d+)\.")
CONFIGS: Mapping[str, CognitiveConfig] = {
    "plain": CognitiveConfig(max_iterations=STEPS + 1, recent_window=1_000, offload=False),
    "lines": CognitiveConfig(max_iterations=STEPS + 1, offload=False),
    "all": CognitiveConfig(max_iterations=STEPS + 1),
}


def recorded(step: int) -> str:
    """The file of *step*: words, with its number in the middle."""
    rng = Random(step)
    words = [f"{rng.choice('abcdefgh')}{rng.choice('aeiou')}{rng.randrange(90)}" for _ in range(50)]
    lines = [
        f"    {rng.choice(words)} = {rng.choice(words)}({rng.choice(words)}, {rng.randrange(999)})"
        for _ in range(SIZES[step % len(SIZES)])
    ]
    lines[len(lines) // 2] = f"    total_of_this_file = {step * 17}"
    return "\n".join(lines)


FILES = [recorded(step) for step in range(STEPS)]
EXPECTED = sum(step * 17 for step in range(STEPS) if step not in MISSING)


class RecordedMind:
    """Reads one file after the other; what it knows it has from its prompt."""

    name = "recorded"
    context_window = WINDOW

    def __init__(self) -> None:
        self.tokens = 0
        """Of all prompts."""
        self.counts = True
        self.turn = 0

    def count_tokens(self, text: str) -> int:
        return estimate(text)

    async def ask(self, request: ModelRequest) -> ModelReply:
        if self.counts:
            self.tokens += estimate_request(request)
        total = _known(request)
        step, self.turn = self.turn, self.turn + 1
        if step == STEPS:
            return ModelReply(f"The total is {total}.")
        use = ToolUse(f"c{step}", "fs:read_file", {"path": f"src/module_{step}.py"})
        return ModelReply(f"The sum so far is {total}.", (use,), finish="tool_calls")

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[ModelPart]]:
        async def parts() -> AsyncIterator[ModelPart]:
            yield await self.ask(request)

        yield parts()


def _known(request: ModelRequest) -> int:
    """The sum that the prompt tells: the last thought, and the numbers that came after it."""
    total = 0
    for message in request.messages:
        if message.role == "assistant" and (said := _SUM.search(message.content)):
            total = int(said[1])
    latest = request.messages[-1]
    found = _FACT.search(latest.content) if latest.role == "tool" else None
    return total + (int(found[1]) if found else 0)


async def read_file(call: ToolCall) -> Any:
    step = int(call.arguments["path"].partition("_")[2].removesuffix(".py"))
    if step in MISSING:
        raise ToolError(call.name, "ACTION_ERROR", "there is no such file")
    return {"content": FILES[step]}


@asynccontextmanager
async def thinker(config: CognitiveConfig, mind: RecordedMind) -> AsyncIterator[CognitiveAgent]:
    """An agent on a runtime that has the recorded files."""
    async with running("tools") as runtime:
        provider = ToolProvider(runtime.host("files"))
        provider.add(ToolDescriptor("fs:read_file", "Read a text file.", PATH), read_file)
        await provider.start()
        with tempfile.TemporaryDirectory(prefix="loom-") as folder:
            context = Context(runtime.host("ada"), "ada")
            yield CognitiveAgent(context, mind, config, workspace_path=folder)


async def replay(how: str) -> tuple[CognitiveResult, int]:
    """The recorded task as `CONFIGS` has it: what it came to, and its tokens."""
    mind = RecordedMind()
    async with thinker(CONFIGS[how], mind) as agent:
        result = await agent.run("Add up the totals of all modules.")
    return result, mind.tokens


async def turns(seconds: float) -> dict[str, float]:
    """The time that a turn takes, with the call of its tool."""
    times: list[float] = []
    mind = RecordedMind()
    mind.counts = False
    async with thinker(CONFIGS["all"], mind) as agent:
        end = perf_counter() + max(seconds, 0.5)
        while not times or perf_counter() < end:
            mind.turn = 0
            agent.memory.clear()
            began = perf_counter()
            await agent.run("Add up the totals of all modules.")
            times.append((perf_counter() - began) / (STEPS + 1))
    times.sort()
    return {"p50_us": times[len(times) // 2] * 1e6}


async def asking(seconds: float) -> dict[str, float]:
    """The limit: the model's call alone, which answers at once."""
    mind = RecordedMind()
    mind.counts = False
    times: list[float] = []
    request = ModelRequest((Message("user", "Add up the totals of all modules."),))
    end = perf_counter() + seconds
    while perf_counter() < end:
        began = perf_counter()
        await mind.ask(request)
        times.append(perf_counter() - began)
    times.sort()
    return {"p50_us": times[len(times) // 2] * 1e6}


async def measure(case: str, seconds: float) -> dict[str, float]:
    """The figures of *case*.

    Raises:
        RuntimeError: the task came to another end than it was recorded with.
    """
    if case == "turn":
        return await turns(seconds)
    if case == "ask":
        return await asking(seconds)
    result, tokens = await replay(case)
    if result.answer != f"The total is {EXPECTED}.":
        raise RuntimeError(f"{result.answer!r} is not the sum {EXPECTED}: {result.error}")
    return {"tokens": float(tokens), "steps": float(len(result.steps))}


def main() -> None:
    figures = asyncio.run(measure(sys.argv[1], float(sys.argv[2])))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
