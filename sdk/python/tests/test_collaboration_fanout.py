"""Asking many: strategies, what is missing, and what it tells the thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from loom import Context, Envelope, Thread, fanout
from loom.collaboration import Strategy
from loom.contracts import Summary
from loom_kernel import InvalidTopic, NoResponders, PayloadTooLarge, RequestTimeout, Runtime
from loom_kernel.testing import EventRecorder

Virtually = Callable[[Callable[[Runtime], Coroutine[Any, Any, None]]], None]
NEVER = 1e6


def answering(runtime: Runtime, delays: dict[str, float]) -> list[str]:
    """Agents who answer their topic after so many seconds."""

    def enter(topic: str, delay: float) -> None:
        host = runtime.host(f"of-{topic}")

        async def answer(event: Envelope) -> None:
            await asyncio.sleep(delay)
            await host.reply(event, f"{topic} says {event.data}")

        host.on(topic, handler=answer)

    for topic, delay in delays.items():
        enter(topic, delay)
    return list(delays)


def context(runtime: Runtime) -> Context:
    return Context(runtime.host("caller"), "caller")


FIVE = {"e": 5.0, "a": 1.0, "d": 4.0, "b": 2.0, "c": 3.0}


@pytest.mark.feature("COL-03")
@pytest.mark.feature("COL-04")
@pytest.mark.parametrize(
    ("options", "expected", "seconds"),
    [
        ({"first_k": 3}, "abc", 3),
        ({"first_k": 5}, "abcde", 5),
        ({"strategy": "any"}, "a", 1),
        ({"strategy": "majority"}, "abc", 3),
        ({"strategy": "all"}, "abcde", 5),
        ({"strategy": "timeout"}, "abcde", 5),
    ],
)
def test_it_returns_when_enough_have_answered(
    virtually: Virtually, options: dict[str, Any], expected: str, seconds: float
) -> None:
    async def scene(runtime: Runtime) -> None:
        targets = answering(runtime, FIVE)
        events = EventRecorder(runtime.host("witness"), "thread.>")
        found = await fanout(
            context(runtime), targets, "hi", timeout_ms=9000, thread="t1", **options
        )
        assert "".join(reply.target for reply in found.replies) == expected
        assert found.data == {target: f"{target} says hi" for target in expected}
        assert found.missing == tuple(one for one in targets if one not in expected)
        assert found.is_complete
        assert found.elapsed == pytest.approx(seconds)
        (event,) = events.events
        assert (event.type, event.topic) == ("collab.summary", "thread.t1.reply")
        assert isinstance(event.data, Summary)
        assert event.data.answered == tuple(expected)
        assert event.data.is_complete
        assert not found.failures

    virtually(scene)


@pytest.mark.feature("COL-04")
@pytest.mark.parametrize(
    ("strategy", "is_complete"),
    [("all", False), ("majority", False), ("timeout", True), ("any", True)],
)
def test_in_the_end_it_returns_what_arrived(
    virtually: Virtually, strategy: Strategy, is_complete: bool
) -> None:
    async def scene(runtime: Runtime) -> None:
        targets = answering(runtime, {"a": 1.0, "b": NEVER, "c": NEVER})
        events = EventRecorder(runtime.host("witness"), "thread.>")
        found = await fanout(context(runtime), targets, strategy=strategy, timeout_ms=2000)
        assert [reply.target for reply in found.replies] == ["a"]
        assert found.missing == ("b", "c")
        assert found.is_complete == is_complete
        assert found.elapsed == pytest.approx(1 if strategy == "any" else 2)
        (event,) = events.events
        assert event.data.missing == ("b", "c")

    virtually(scene)


@pytest.mark.feature("COL-04")
def test_a_majority_of_four_is_three(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        targets = answering(runtime, {"a": 1.0, "b": 1.5, "c": 2.0, "d": NEVER})
        found = await fanout(context(runtime), targets, strategy="majority")
        assert [reply.target for reply in found.replies] == ["a", "b", "c"]

    virtually(scene)


@pytest.mark.feature("COL-04")
def test_a_target_that_cannot_be_asked_holds_up_nobody(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        targets = [*answering(runtime, {"a": 1.0}), "void", "no good"]
        found = await fanout(context(runtime), targets, timeout_ms=60_000)
        assert found.elapsed == pytest.approx(1)
        assert found.missing == ("void", "no good")
        assert isinstance(found.failures["void"], NoResponders)
        assert isinstance(found.failures["no good"], InvalidTopic)
        assert not found.is_complete
        nobody = await fanout(context(runtime), ["void"], strategy="any", timeout_ms=60_000)
        assert nobody.elapsed == 0

    virtually(scene)


@pytest.mark.feature("COL-04")
def test_a_full_target_holds_up_nobody(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        full = runtime.host("full").subscribe("full", capacity=1)
        await runtime.host("other").publish("full")
        targets = ["full", *answering(runtime, {"a": 1.0})]
        found = await fanout(context(runtime), targets, timeout_ms=3000)
        assert [reply.target for reply in found.replies] == ["a"]
        assert found.missing == ("full",)
        full.close()

    virtually(scene)


def test_without_targets_it_is_done(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        found = await fanout(context(runtime), [])
        assert (found.replies, found.missing, found.is_complete) == ((), (), True)
        assert not (await fanout(context(runtime), [], strategy="any")).is_complete

    virtually(scene)


def test_what_is_wrong_with_the_question_is_raised(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        targets = answering(runtime, {"a": 1.0, "b": 1.0})
        with pytest.raises(PayloadTooLarge):
            await fanout(context(runtime), targets, b"x" * (2 << 20))
        wrong: list[dict[str, Any]] = [{"first_k": 3}, {"first_k": 0}, {"timeout_ms": 0}]
        for options in wrong:
            with pytest.raises(ValueError, match="must be"):
                await fanout(context(runtime), targets, **options)
        with pytest.raises(ValueError, match="not both"):
            await fanout(context(runtime), targets, strategy="any", first_k=1)
        with pytest.raises(ValueError, match="one of all, any"):
            await fanout(context(runtime), targets, strategy="some")  # type: ignore[arg-type]  # the test
        with pytest.raises(TypeError, match=r"write \['a'\]"):
            await fanout(context(runtime), "a")

    virtually(scene)


@pytest.mark.feature("ENV-03")
def test_inside_a_handler_it_belongs_to_what_is_handled(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        events = EventRecorder(runtime.host("witness"), ">")
        host = runtime.host("caller")
        web = runtime.host("web")

        async def browse(event: Envelope) -> None:
            await web.reply(event, "page", labels=["untrusted"])

        async def ask(event: Envelope) -> None:
            await fanout(Context(host, "caller"), ["page"])
            await host.publish("done")

        web.on("page", handler=browse)
        host.on("go", handler=ask)
        await runtime.host("outside").publish("go", thread_id="t9")
        (done,) = await events.wait_for("done")
        (asked,) = events.on("page")
        (summary,) = events.on("thread.t9.reply")
        assert asked.thread_id == summary.thread_id == "t9"
        assert asked.causation_id == events.on("go")[0].id
        assert done.labels == {"untrusted"}

    virtually(scene)


@pytest.mark.feature("COL-04")
def test_a_fanout_that_is_cancelled_tells_what_arrived(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        targets = answering(runtime, {"a": 1.0, "b": NEVER})
        events = EventRecorder(runtime.host("witness"), "thread.t1.reply")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await fanout(context(runtime), targets, timeout_ms=9000, thread_id="t1")
        (event,) = events.events
        assert (event.data.answered, event.data.missing) == (("a",), ("b",))
        assert event.data.elapsed == pytest.approx(2)

    virtually(scene)


@pytest.mark.feature("COL-04")
def test_a_listener_that_is_full_costs_nobody_the_result(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        targets = answering(runtime, {"a": 1.0})
        full = runtime.host("full").subscribe("thread.t1.reply", capacity=1)
        await runtime.host("other").publish("thread.t1.reply")
        ctx = context(runtime)
        found = await fanout(ctx, targets, thread="t1", timeout_ms=2000)
        assert found.is_complete
        assert ctx.clock.monotonic() <= 3
        full.close()

    virtually(scene)


# -- several replies to one question ----------------------------------------------------------


def crowd(runtime: Runtime, *delays: float) -> None:
    """Agents who all answer `poll`."""
    for number, delay in enumerate(delays):
        host = runtime.host(f"voter{number}")

        def answer_after(delay: float, host: Any = host) -> Any:
            async def answer(event: Envelope) -> None:
                await asyncio.sleep(delay)
                await host.reply(event, delay)

            return answer

        host.on("poll", handler=answer_after(delay))


@pytest.mark.feature("SDK-01")
@pytest.mark.feature("COL-03")
def test_a_request_may_want_several_replies(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        ctx = context(runtime)
        events = EventRecorder(runtime.host("witness"), "thread.>", "$loom.>")
        crowd(runtime, 3.0, 1.0, 2.0, NEVER)
        thread = Thread("t1")
        replies = await ctx.request(thread, "poll", payload=b"?", first_k=1, timeout_ms=2000)
        assert [reply.data for reply in replies] == [1.0]
        replies = await ctx.request("poll", first_k=3, timeout_ms=9000)
        assert [reply.data for reply in replies] == [1.0, 2.0, 3.0]
        assert events.events == []

    virtually(scene)


@pytest.mark.feature("COL-01")
def test_too_few_replies_are_one_event_and_what_came_is_kept(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        ctx = context(runtime)
        events = EventRecorder(runtime.host("witness"), "thread.>", "$loom.>")
        crowd(runtime, 1.0, 2.0, NEVER)
        replies = await ctx.request(Thread("t1"), "poll", first_k=3, timeout_ms=4000)
        assert [reply.data for reply in replies] == [1.0, 2.0]
        (event,) = events.events
        assert (event.type, event.topic) == ("collab.timeout", "thread.t1.reply")
        assert (event.data.topic, event.data.wanted, event.data.received) == ("poll", 3, 2)

    virtually(scene)


@pytest.mark.feature("COL-01")
def test_no_reply_at_all_is_an_error_and_one_event(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        ctx = context(runtime)
        events = EventRecorder(runtime.host("witness"), "thread.>", "$loom.>")
        crowd(runtime, NEVER)
        with pytest.raises(RequestTimeout, match="within 4 s"):
            await ctx.request("poll", timeout_ms=4000)
        with pytest.raises(RequestTimeout, match="within 4 s"):
            await ctx.request("poll", timeout_ms=4000, first_k=1)
        assert [event.type for event in events.events] == [
            "$loom.request.timed_out",
            "collab.timeout",
        ]
        with pytest.raises(NoResponders):
            await ctx.request("void", first_k=2)
        with pytest.raises(ValueError, match="at least 1"):
            await ctx.request("poll", first_k=0)

    virtually(scene)


@pytest.mark.feature("COL-01")
def test_a_reply_that_is_worth_nothing_any_more_ends_no_wait(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        ctx = context(runtime)
        host = runtime.host("slow")

        async def answer(event: Envelope) -> None:
            await host.reply(event, "old news", expires=ctx.clock.time() - 1)

        host.on("poll", handler=answer)
        with pytest.raises(RequestTimeout):
            await ctx.request("poll", first_k=1, timeout_ms=1000)
        assert ctx.clock.monotonic() == pytest.approx(1)

    virtually(scene)


@pytest.mark.feature("COL-03")
@pytest.mark.feature("COL-04")
def test_what_comes_in_the_last_moment_is_in_time(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        ctx, host, loop = context(runtime), runtime.host("punctual"), asyncio.get_running_loop()

        async def answer(event: Envelope) -> None:
            asked = ctx.clock.monotonic()
            loop.call_at(asked + 1, lambda: host.publish_nowait(event.reply_to, "just"))

        host.on("poll", handler=answer)
        replies = await ctx.request("poll", first_k=2, timeout_ms=1000)
        assert [reply.data for reply in replies] == ["just"]
        found = await fanout(ctx, ["poll"], timeout_ms=1000)
        assert found.data == {"poll": "just"}

    virtually(scene)


def test_an_inbox_has_as_many_private_topics_as_wanted(virtually: Virtually) -> None:
    async def scene(runtime: Runtime) -> None:
        with context(runtime).inbox(3) as inbox:
            assert len(set(inbox.patterns)) == 3
            assert all(topic.startswith("$inbox.") for topic in inbox.patterns)
            await runtime.host("other").publish(inbox.patterns[1], "hi")
            reply = await inbox.receive()
            assert reply is not None
            assert (reply.topic, reply.data) == (inbox.patterns[1], "hi")

    virtually(scene)
