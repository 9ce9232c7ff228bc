"""Questions spend tokens and money of whoever caused them; labels bind where they may go."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from loom import LLMProvider
from loom.contracts import BudgetExceeded, Budgets, ModelError, ModelReply, ModelRequest, Models
from loom.models import prompted
from loom.testing.models import Answer, Asked
from loom_kernel import ConfigError, Envelope, RealClock
from loom_kernel.testing import VirtualClock, wait_until
from loom_plugin_models.allowance import Allowance

from plugins.models.tests.conftest import House, housed, thinker

pytestmark = pytest.mark.anyio


async def caused(house: House, work: Callable[[Envelope], Awaitable[None]], **fields: Any) -> Any:
    """Let ada do *work* in the handling of an event with *fields*; what it raised."""
    failures: list[Exception | None] = []

    async def handle(envelope: Envelope) -> None:
        try:
            await work(envelope)
            failures.append(None)
        except Exception as error:  # noqa: BLE001  # it is looked at below
            failures.append(error)

    with house.agent.host.on("job", handler=handle):
        await house.runtime.host("user").publish("job", **fields)
        await wait_until(lambda: bool(failures), 30.0)
    return failures[0]


def bounded(asked: Asked) -> Answer:
    """As long an answer as is allowed."""
    most = asked.body["max_tokens"]
    return Answer("x" * most, tokens=(20, most), finish="length")


@pytest.mark.feature("X-03")
async def test_a_thread_spends_its_tokens_and_never_more() -> None:
    left: list[Mapping[str, float]] = []

    async def work(event: Envelope) -> None:
        llm = LLMProvider.from_runtime(house.agent)
        for _ in range(10):
            await llm.generate("Go on")
            left.append(house.agent.host.require(Budgets).left(event))

    async with housed(bounded, "budgets", max_tokens=100) as house:
        error = await caused(house, work, budget={"tokens": 300, "calls": 50})
        assert isinstance(error, BudgetExceeded)
        assert error.unit == "tokens"
        spent = sum(20 + one.body["max_tokens"] for one in house.models.requests)
        assert 250 < spent <= 300, "nothing is overspent, and not much is left"
        assert left[0]["tokens"] == 300 - 120, "what was not needed is given back"


@pytest.mark.feature("X-03", "SDK-05")
async def test_money_is_spent_by_the_endpoints_prices() -> None:
    async def work(event: Envelope) -> None:
        for _ in range(5):
            await LLMProvider.from_runtime(house.agent).generate("Go on")

    prices: dict[str, Any] = {"input_price": 10.0, "output_price": 1000.0}
    async with housed(bounded, "budgets", max_tokens=100, **prices) as house:
        error = await caused(house, work, budget={"money": 0.25, "calls": 50})
        assert isinstance(error, BudgetExceeded)
        assert error.unit == "money"
        cost = sum(one.data["loom.cost"] for one in house.events.on("llm.call.completed"))
        assert 0.2 < cost <= 0.25


@pytest.mark.feature("X-03")
async def test_what_was_not_answered_is_given_back_and_what_broke_off_is_not() -> None:
    left: list[float] = []

    async def work(event: Envelope) -> None:
        llm = LLMProvider.from_runtime(house.agent)
        for _ in range(2):
            with pytest.raises(ModelError):
                await llm.generate("Go on")
            left.append(house.agent.host.require(Budgets).left(event)["tokens"])

    script = [Answer(status=500), Answer("one two three " * 20, cut=20)]
    async with housed(script, "budgets", retries=0) as house:
        assert await caused(house, work, budget={"tokens": 5000, "calls": 9}) is None
        assert left[0] == 5000
        assert 4800 < left[1] < 5000


@pytest.mark.feature("X-02")
@pytest.mark.parametrize("label", ["local-only", "private"])
async def test_what_is_to_stay_here_reaches_no_remote_model(label: str) -> None:
    remote = {"model": "m", "api_base": "http://models.invalid/v1", "api_key": "k"}

    async def work(event: Envelope) -> None:
        llm = LLMProvider.from_runtime(house.agent, "remote")
        with pytest.raises(ModelError) as refused:
            await llm.generate("Secret")
        assert refused.value.code == "MODEL_REFUSED"
        assert label in str(refused.value)
        models = house.agent.host.require(Models)
        request = ModelRequest(prompted("Secret", None))
        with pytest.raises(ModelError, match=label):
            async with models.stream("remote", request, event):
                raise AssertionError("it was asked")
        assert await LLMProvider.from_runtime(house.agent, "careful").generate("Hi") == (
            "You said: Hi"
        )

    careful = {**remote, "fallback": ["fast"]}
    tables = {"remote": remote, "careful": careful}
    async with housed(thinker, tables=tables) as house:
        with egress() as reached:
            assert await caused(house, work, labels=[label]) is None
        (told,) = house.events.on("llm.call.completed")
        assert label in told.labels
    assert reached, "the model on this machine was"
    assert all(host in ("127.0.0.1", b"127.0.0.1") for host in reached), reached


_recording: list[list[Any]] = []


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    """Note whom this process resolves or connects to."""
    if _recording and event == "socket.connect" and isinstance(arguments[1], tuple):
        _recording[-1].append(arguments[1][0])
    elif _recording and event == "socket.getaddrinfo":
        _recording[-1].append(arguments[0])


sys.addaudithook(_record)


@contextmanager
def egress() -> Iterator[list[Any]]:
    """Whom this process reaches for, by name or address."""
    _recording.append([])
    try:
        yield _recording[-1]
    finally:
        _recording.pop()


async def test_without_labels_the_recording_sees_the_remote_model() -> None:
    remote = {"model": "m", "api_base": "http://models.invalid/v1", "retries": 0}

    async def work(event: Envelope) -> None:
        with pytest.raises(ModelError):
            await LLMProvider.from_runtime(house.agent, "remote").generate("Hello")

    async with housed(thinker, tables={"remote": remote}) as house:
        with egress() as reached:
            assert await caused(house, work) is None
    assert {"models.invalid", b"models.invalid"} & set(reached)


async def test_plugins_ask_through_the_service_and_the_cause_pays() -> None:
    async def work(event: Envelope) -> None:
        models = house.agent.host.require(Models)
        assert [record.name for record in models.list()] == ["fast"]
        async with models.stream("", ModelRequest(prompted("Hi", None)), event) as parts:
            (*_, reply) = [part async for part in parts]
        assert isinstance(reply, ModelReply)
        assert reply.endpoint == "fast"
        assert house.agent.host.require(Budgets).left(event)["tokens"] == 1000 - 37

    async with housed(thinker, "budgets") as house:
        assert await caused(house, work, budget={"tokens": 1000}) is None


async def test_each_question_is_in_the_audit() -> None:
    async with housed(thinker, "audit") as house:
        await house.generate(prompt="Hello")
        written = [
            text for file in house.runtime.paths.state.rglob("*audit*") for text in lines(file)
        ]
        (entry,) = [one for one in written if one["event"] == "llm.call.completed"]
        assert (entry["who"], entry["what"]) == ("ada", "fast")
        assert entry["details"]["gen_ai.usage.output_tokens"] == 7


def lines(file: Path) -> list[dict[str, Any]]:
    text = file.read_text().splitlines() if file.is_file() else []
    return [json.loads(line) for line in text if line.startswith("{") and "event" in line]


DAY = 86_400.0


async def spend_all(house: House) -> int:
    """Ask until there is no more; the tokens that it took."""
    llm, before = LLMProvider.from_runtime(house.agent), len(house.models.requests)

    async def go_on() -> None:
        for _ in range(10):
            await llm.generate("Go on")

    with pytest.raises(ModelError, match="begin anew at 00:00 UTC") as refused:
        await go_on()
    assert refused.value.code == "MODEL_REFUSED"
    return sum(20 + one.body["max_tokens"] for one in house.models.requests[before:])


@pytest.mark.feature("X-03")
async def test_a_day_takes_no_more_than_its_limit_whoever_asks(tmp_path: Path) -> None:
    """A timer's events are each the first of a thread: none of their budgets ends."""
    clock = VirtualClock()
    clock.set_wall(100 * DAY + 10)

    def opened() -> AbstractAsyncContextManager[House]:
        daily = {"plugins": {"models": {"daily": {"tokens": 300}}}}
        return housed(bounded, max_tokens=100, config=daily, state=tmp_path, clock=clock)

    async with opened() as house:
        assert 250 < await spend_all(house) <= 300
    async with opened() as house:
        assert await spend_all(house) == 0, "a restart does not begin the day anew"
        clock.set_wall(99 * DAY)
        assert await spend_all(house) == 0, "nor does a clock that is set back"
        clock.set_wall(101 * DAY + 1)
        assert 250 < await spend_all(house) <= 300


@pytest.mark.parametrize("daily", [{"calls": 5}, {"tokens": -1}])
async def test_a_limit_that_makes_no_sense_is_refused(daily: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="daily"):
        Allowance(Path("nowhere"), RealClock(), daily)
