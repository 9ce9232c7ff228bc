"""What the tools of every tier must do, seen through the broker as any caller sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Self

import msgspec
from loom import call_tool
from loom.contracts import ToolCall, ToolDescriptor, ToolProgress, ToolResult, read
from loom_kernel import Host, Runtime
from loom_kernel.testing import EventRecorder, wait_until

from tests.conformance.tools.handlers import descriptors
from tests.conformance.tools.tiers import Tier

PATIENCE = 20.0
LOST = ("OUTCOME_UNKNOWN", "PROVIDER_UNAVAILABLE", "ACTION_TIMEOUT")
TEXTS = [
    "",
    "häh",
    "日本語",
    "שלום",
    "👩‍👩‍👧‍👦",
    "a\x00b",
    "\u2028\u202e",
    "\ufeff",
    '"\\\n\t',
    "é" * 1000,
]
VALUES: list[Any] = [
    None, True, 0, -1, 2**53, 1.5, [], {}, [[[]]], {"": None}, {"a": {"b": [1, "2", None]}}, *TEXTS,
]  # fmt: skip


class Stage:
    """One tier whose tools are there, and who calls them."""

    def __init__(self, tier: Tier, runtime: Runtime) -> None:
        self.tier = tier
        self.caller: Host = runtime.host("caller")
        self._witness: Host = runtime.host("witness")
        self.events = EventRecorder(self._witness, "tool.>")

    @classmethod
    @asynccontextmanager
    async def open(cls, tier: Tier, runtime: Runtime) -> AsyncIterator[Self]:
        """Wait until the tools are there; nothing is recorded of it afterwards."""
        self = cls(tier, runtime)
        try:
            await self._ready()
            yield self
        finally:
            for host in (self.caller, self._witness):
                await host.aclose()

    async def call(self, tool: str, timeout: float = PATIENCE, /, **arguments: Any) -> ToolResult:
        """Call `kit:<tool>` as any caller would."""
        call = ToolCall(f"kit:{tool}", arguments, timeout=timeout)
        result = await call_tool(self.caller, call)
        if not result.is_ok:
            return result
        return msgspec.structs.replace(result, output=self.tier.value(result.output))

    def progress(self) -> list[tuple[float, float]]:
        """What was told of how far calls have come, in the order in which it was told."""
        news = [read(event, ToolProgress) for event in self.events.on("tool.call.progressed")]
        return [(one.done, one.total) for one in news]

    async def listed(self) -> dict[str, ToolDescriptor]:
        found = (await self.caller.request("tool.list")).data["tools"]
        return {tool.name: tool for tool in found}

    async def _ready(self) -> None:
        """Wait until all tools are there."""
        wanted = {f"kit:{tool}" for tool in self.tier.tools}
        async with asyncio.timeout(PATIENCE):
            while wanted - set(await self.listed()):
                await self.events.wait_for(
                    "tool.provider.announced",
                    len(self.events.on("tool.provider.announced")) + 1,
                    PATIENCE,
                )


class Scenario(NamedTuple):
    """What is played, the tools that it needs, and the rows of the ledger that it proves."""

    play: Callable[[Stage], Awaitable[None]]
    needs: frozenset[str]
    proves: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.play.__name__


Play = Callable[[Stage], Awaitable[None]]
SCENARIOS: list[Scenario] = []


def scenario(*needs: str, proves: tuple[str, ...] = ()) -> Callable[[Play], Play]:
    def declare(play: Play) -> Play:
        SCENARIOS.append(Scenario(play, frozenset(needs), proves))
        return play

    return declare


@scenario("echo", "add")
async def descriptors_say_what_was_written(stage: Stage) -> None:
    listed = await stage.listed()
    for wanted in descriptors(stage.tier.provider):
        if wanted.name.removeprefix("kit:") in stage.tier.tools:
            found = listed[wanted.name]
            assert found.parameters == wanted.parameters
            assert found.description == wanted.description
            assert (found.provider, found.hints) == (wanted.provider, wanted.hints)


@scenario("echo")
async def echo(stage: Stage) -> None:
    for value in VALUES:
        result = await stage.call("echo", value=value)
        assert (result.code, result.output) == ("ACTION_OK", value)


@scenario("echo")
async def unicode(stage: Stage) -> None:
    for text in TEXTS:
        assert (await stage.call("echo", value={text: text})).output == {text: text}


@scenario("add")
async def arguments_that_do_not_fit(stage: Stage) -> None:
    wrong: list[dict[str, Any]] = [
        {}, {"a": 1}, {"a": "1", "b": 2}, {"a": 1, "b": -2}, {"a": 1, "b": 2, "c": 3},
    ]  # fmt: skip
    for arguments in wrong:
        assert (await stage.call("add", **arguments)).code == "INVALID_PARAMS", arguments
    assert (await stage.call("add", a=-1, b=2)).output == 1


@scenario("fail", "echo")
async def a_failure_is_told(stage: Stage) -> None:
    result = await stage.call("fail", message="no such ☂")
    assert result.code == "ACTION_ERROR"
    assert result.error is not None
    assert "no such ☂" in result.error.message
    assert (await stage.call("echo", value=1)).is_ok


@scenario("sleep", "echo", proves=("TOOL-04",))
async def the_callers_time_is_kept(stage: Stage) -> None:
    result = await stage.call("sleep", 0.2, seconds=10)
    assert result.code == "ACTION_TIMEOUT"
    assert result.duration < 1.0
    assert (await stage.call("echo", value="here")).output == "here"


@scenario("steps", proves=("TOOL-04",))
async def what_is_cancelled_stops(stage: Stage) -> None:
    result = await stage.call("steps", 0.3, count=1000, pause=0.05)
    assert result.code == "ACTION_TIMEOUT"
    assert stage.events.on("tool.call.progressed")
    clock = stage.caller.clock
    await clock.sleep(0.3)  # what was on its way has come
    told = len(stage.events.on("tool.call.progressed"))
    await clock.sleep(0.3)
    assert len(stage.events.on("tool.call.progressed")) == told


@scenario("steps")
async def progress(stage: Stage) -> None:
    assert (await stage.call("steps", count=5)).output == 5
    steps = [(step, 5) for step in range(1, 6)]
    await wait_until(lambda: stage.progress()[-1:] == steps[-1:], PATIENCE)
    if stage.tier.tells_all:
        assert stage.progress() == steps
    else:
        assert stage.progress() == sorted(set(stage.progress()) & set(steps))


@scenario("sleep")
async def calls_overlap(stage: Stage) -> None:
    clock = stage.caller.clock
    began = clock.monotonic()
    asked = [stage.call("sleep", seconds=0.5, value=number) for number in range(10)]
    results = await asyncio.gather(*asked)
    assert [result.output for result in results] == list(range(10))
    assert clock.monotonic() - began < 2.5, "one after the other takes 5 s"


@scenario("echo")
async def flood(stage: Stage) -> None:
    results = await asyncio.gather(*(stage.call("echo", value=number) for number in range(500)))
    for number, result in enumerate(results):
        if result.code != "PROVIDER_UNAVAILABLE":  # more than it takes at once
            assert (result.code, result.output) == ("ACTION_OK", number)
    assert sum(result.is_ok for result in results) >= stage.tier.at_once
    assert (await stage.call("echo", value="after")).output == "after"


@scenario("big", "echo")
async def a_big_result(stage: Stage) -> None:
    assert len((await stage.call("big", size=900 << 10)).output) == 900 << 10
    text = "y" * (900 << 10)
    assert (await stage.call("echo", value=text)).output == text


@scenario("crash", "echo", proves=("PLG-03",))
async def a_crash_is_known_and_no_success(stage: Stage) -> None:
    result = await stage.call("crash", 5.0)
    if stage.tier.crash == "contained":
        assert result.code == "ACTION_ERROR"
        assert (await stage.call("echo", value="again")).is_ok
        return
    assert result.code in LOST
    if stage.tier.crash == "recovers":
        assert result.code == "OUTCOME_UNKNOWN"
        await wait_until(lambda: stage.events.on("tool.provider.announced"), PATIENCE)
        await _again(stage)
    else:
        later = await stage.call("echo", 1.0, value="still there?")
        assert later.code in (*LOST, "CAPABILITY_ERROR")


async def _again(stage: Stage) -> None:
    """The provider is there again, sooner or later."""
    async with asyncio.timeout(PATIENCE):
        while not (await stage.call("echo", value="again")).is_ok:
            await stage.caller.clock.sleep(0.05)
