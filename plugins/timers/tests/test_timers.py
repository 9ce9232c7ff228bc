from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from loom_kernel import ConfigError, Host, Runtime
from loom_kernel.testing import (
    EventRecorder,
    VirtualClock,
    check_plugin_contract,
    run_virtual,
    running,
)

MIDNIGHT = 1_767_225_600.0  # 2026-01-01, a Thursday, UTC
HOUR, DAY = 3600.0, 86400.0


def config(timezone: str = "UTC", **timers: dict[str, Any]) -> dict[str, Any]:
    return {"plugins": {"timers": {"timezone": timezone, "timer": timers}}}


@asynccontextmanager
async def timers(
    clock: VirtualClock, state: Path, settings: dict[str, Any]
) -> AsyncIterator[tuple[Runtime, EventRecorder]]:
    """A runtime with the plugin, recording every timer event from the first moment on."""
    async with running("timers", config=settings, clock=clock, state=state) as runtime:
        yield runtime, EventRecorder(runtime.host("watcher"), "timer.>")


def virtual(work: Callable[[VirtualClock], Awaitable[None]], start: float = MIDNIGHT) -> None:
    async def main() -> None:
        await work(VirtualClock(start))

    run_virtual(main)


def scheduled(recorder: EventRecorder, topic: str = "timer.*") -> list[str]:
    return [event.data["scheduled"] for event in recorder.on(topic)]


async def ask(host: Host, topic: str, data: Any = None) -> dict[str, Any]:
    answer: dict[str, Any] = (await host.request(topic, data)).data
    return answer


@pytest.mark.feature("DSK-05")
def test_cron_interval_and_moment_fire_at_the_right_time(tmp_path: Path) -> None:
    settings = config(
        briefing={"cron": "0 8 * * mon-fri", "timezone": "Europe/Berlin", "data": {"a": 1}},
        poll={"every": "15m", "topic": "poll.due"},
        launch={"at": "2026-01-01T20:00:00"},
    )

    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, settings) as (runtime, recorder):
            polls = EventRecorder(runtime.host("watcher"), "poll.>")
            await clock.sleep(4 * DAY + HOUR + 1)
        assert scheduled(recorder, "timer.briefing") == [
            "2026-01-01T07:00:00Z", "2026-01-02T07:00:00Z",
        ]  # fmt: skip
        assert scheduled(recorder, "timer.launch") == ["2026-01-01T20:00:00Z"]
        assert len(polls.events) == 97 * 4
        event = recorder.on("timer.briefing")[0]
        assert event.data == {
            "name": "briefing", "scheduled": "2026-01-01T07:00:00Z", "late_seconds": 0.0,
            "fired": "2026-01-01T07:00:00Z", "missed": 0, "recovered": False,
            "timezone": "Europe/Berlin", "data": {"a": 1},
        }  # fmt: skip
        assert (event.type, event.sender) == ("timer.fired", "timers")
        assert event.subject == "briefing@2026-01-01T07:00:00Z"
        late = [e.time - MIDNIGHT - 900 * n for n, e in enumerate(polls.events, 1)]
        assert max(late) < 0.05

    virtual(work)


@pytest.mark.feature("X-20")
def test_a_day_of_timers_takes_about_a_second(tmp_path: Path) -> None:
    settings = config(quick={"every": "5m"}, hourly={"cron": "0 * * * *"}, half={"every": "30m"})

    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, settings) as (_, recorder):
            await clock.sleep(DAY + 1)
        counts = Counter(event.data["name"] for event in recorder.events)
        assert counts == {"quick": 288, "hourly": 24, "half": 48}

    began = time.perf_counter()
    virtual(work)
    assert time.perf_counter() - began < 20  # about one second where a disk flush takes 1 ms


@pytest.mark.feature("X-08")
@pytest.mark.parametrize(("policy", "runs", "signals"), [
    ("run-once", [("2026-01-01T11:00:00Z", 2)], []),
    ("skip", [], [(3, "2026-01-01T09:00:00Z", "2026-01-01T11:00:00Z", "late")]),
    ("run-all", [("2026-01-01T09:00:00Z", 0), ("2026-01-01T10:00:00Z", 0),
                 ("2026-01-01T11:00:00Z", 0)], []),
])  # fmt: skip
def test_runs_missed_while_loom_was_down(
    tmp_path: Path, policy: str, runs: list[tuple[str, int]], signals: list[Any]
) -> None:
    settings = config(job={"cron": "0 9-17 * * *", "missed": policy})

    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, settings):
            await clock.sleep(HOUR)
        await clock.sleep(10 * HOUR + 600)
        async with timers(clock, tmp_path, settings) as (_, recorder):
            await clock.sleep(0.1)
        fired = recorder.on("timer.job")
        missed = [event.data for event in recorder.on("timer.job.missed")]
        assert [(event.data["scheduled"], event.data["missed"]) for event in fired] == runs
        assert [(m["count"], m["first"], m["last"], m["reason"]) for m in missed] == signals

    virtual(work)


@pytest.mark.feature("X-08")
@pytest.mark.parametrize("down", [(-13.0, -1.0), (-1.0, 13.0), (-13.0, 0.0), (0.0, 13.0),
                                  (0.5, 13.0), (-HOUR, 2 * HOUR)])  # fmt: skip
def test_a_restart_across_the_fire_time_neither_loses_nor_doubles(
    tmp_path: Path, down: tuple[float, float]
) -> None:
    settings = config(brief={"cron": "0 8 * * *"})

    async def work(clock: VirtualClock) -> None:
        due = MIDNIGHT + 8 * HOUR
        async with timers(clock, tmp_path, settings) as (_, first):
            await clock.sleep_until(due + down[0])
        await clock.sleep_until(due + down[1])
        async with timers(clock, tmp_path, settings) as (_, second):
            await clock.sleep_until(due + 3 * HOUR)
        heard = scheduled(first) + scheduled(second)
        assert heard == ["2026-01-01T08:00:00Z"]

    virtual(work)


def test_a_run_that_nobody_could_get_because_loom_was_stopping_is_late_not_lost(
    tmp_path: Path,
) -> None:
    settings = config(brief={"cron": "0 8 * * *", "missed": "skip"})

    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, settings) as (runtime, first):
            await clock.sleep_until(MIDNIGHT + 8 * HOUR - 1)
            with runtime.bus.roots_refused():  # what stopping does first
                await clock.sleep(2)
        async with timers(clock, tmp_path, settings) as (_, second):
            await clock.sleep(1)
        assert scheduled(first) == []
        assert scheduled(second) == ["2026-01-01T08:00:00Z"]

    virtual(work)


def test_a_late_run_waits_until_every_plugin_listens(tmp_path: Path) -> None:
    settings = config(brief={"cron": "0 8 * * *"})

    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, settings):
            pass
        await clock.sleep_until(MIDNIGHT + 9 * HOUR)
        async with timers(clock, tmp_path, settings) as (runtime, recorder):
            order = EventRecorder(runtime.host("order"), ">")
            assert runtime.state == "ready"
            assert recorder.events == []
            await recorder.wait_for("timer.brief")
            assert [event.topic for event in order.events] == ["timer.brief"]

    virtual(work)


@pytest.mark.reliability("R20")
@pytest.mark.parametrize("jump", [-HOUR, DAY, 3652 * DAY])
def test_a_wall_clock_that_is_set(tmp_path: Path, jump: float) -> None:
    settings = config(daily={"cron": "0 8 * * *"}, poll={"every": "15m"})

    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, settings) as (_, recorder):
            await clock.sleep(8 * HOUR + 60)
            clock.set_wall(clock.time() + jump)
            await clock.sleep(DAY)
        keys = [event.subject for event in recorder.on("timer.*")]
        assert len(set(keys)) == len(keys)
        polls = recorder.on("timer.poll")
        # 32 before, one for what a jump forward skips, 96 after; back, a period starts anew.
        assert len(polls) in ({127, 128, 129} if jump < 0 else {129})
        assert max(event.data["late_seconds"] for event in polls if not event.data["missed"]) < 0.05
        daily = recorder.on("timer.daily")
        assert len(daily) == (1 if jump < 0 else 3)

    virtual(work)


@pytest.mark.reliability("R20")
@pytest.mark.parametrize(("night", "first", "second"), [
    ("2026-03-29", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"),
    ("2026-10-25", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
])  # fmt: skip
def test_both_nights_of_the_year(tmp_path: Path, night: str, first: str, second: str) -> None:
    settings = config(timezone="Europe/Berlin", backup={"cron": "30 2 * * *"})

    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, settings) as (_, recorder):
            await clock.sleep(2 * DAY - 2 * HOUR)
        assert scheduled(recorder) == [first, second]

    virtual(work, datetime.fromisoformat(night + "T00:00:00+00:00").timestamp())


@pytest.mark.feature("X-08")
def test_an_agent_sets_a_reminder_that_survives_a_restart(tmp_path: Path) -> None:
    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, config()) as (runtime, _):
            wanted = {"in": "10m", "name": "tea", "data": {"say": "tea is ready"}}
            answer = await ask(runtime.host("agent"), "timer.schedule", wanted)
            assert answer["code"] == "ACTION_OK"
            assert answer["timer"]["next"] == "2026-01-01T00:10:00Z"
        async with timers(clock, tmp_path, config()) as (runtime, recorder):
            listed = await ask(runtime.host("agent"), "timer.list")
            assert [timer["name"] for timer in listed["timers"]] == ["tea"]
            await clock.sleep(HOUR)
            assert [event.data["data"] for event in recorder.on("timer.tea")] == [
                {"say": "tea is ready"}
            ]
            assert (await ask(runtime.host("agent"), "timer.list"))["timers"] == []
        async with timers(clock, tmp_path, config()) as (_, recorder):
            await clock.sleep(HOUR)
            assert recorder.events == []

    virtual(work)


def test_a_reminder_keeps_thread_and_labels_but_not_the_hops_of_its_request(tmp_path: Path) -> None:
    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, config()) as (runtime, recorder):
            answer = await runtime.host("agent").request(
                "timer.schedule", {"in": 2}, thread_id="talk", labels=frozenset({"private"})
            )
            name = answer.data["timer"]["name"]
            (event,) = await recorder.wait_for(f"timer.{name}")
            assert event.thread_id == "talk"
            assert event.labels == {"private"}
            assert (event.hop, event.causation_id, event.sender) == (0, "", "timers")

    virtual(work)


def test_cancelling(tmp_path: Path) -> None:
    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, config()) as (runtime, recorder):
            agent = runtime.host("agent")
            await ask(agent, "timer.schedule", {"every": "1m", "name": "beat"})
            await clock.sleep(150)
            answer = await ask(agent, "timer.cancel", {"name": "beat"})
            assert answer["timer"]["last"] == "2026-01-01T00:02:00Z"
            await clock.sleep(HOUR)
            assert len(recorder.on("timer.beat")) == 2
        async with timers(clock, tmp_path, config()) as (_, recorder):
            await clock.sleep(HOUR)
            assert recorder.events == []

    virtual(work)


REFUSALS: list[tuple[str, Any, str]] = [
    ("timer.schedule", {"in": "soon"}, "duration"),
    ("timer.schedule", {"in": 0}, "is over"),
    ("timer.schedule", {"in": 5, "every": 60}, "exactly one"),
    ("timer.schedule", {}, "exactly one"),
    ("timer.schedule", None, "send a table"),
    ("timer.schedule", {"at": "2025-01-01T00:00:00Z"}, "is over"),
    ("timer.schedule", {"every": 60, "name": "No Name"}, "cannot name a timer"),
    ("timer.schedule", {"every": 60, "name": "list"}, "is a request"),
    ("timer.schedule", {"every": 60, "topic": "tool.call.approved"}, "must begin with 'timer.'"),
    ("timer.schedule", {"every": 60, "topic": "timer.cancel"}, "is a request"),
    ("timer.schedule", {"every": 60, "nmae": "x"}, "nmae"),
    ("timer.schedule", {"every": 60, "name": "fixed", "replace": True}, "in the configuration"),
    ("timer.schedule", {"every": 60, "name": "tea"}, "replace = true"),
    ("timer.schedule", {"every": 60, "name": "third"}, "2 timers already"),
    ("timer.cancel", {"name": "nothing"}, "there is no timer 'nothing'"),
    ("timer.cancel", {"name": "fixed"}, "in the configuration"),
    ("timer.cancel", "tea", "send a table"),
]


def test_what_is_wrong_is_refused_and_told_why(tmp_path: Path) -> None:
    settings = config(fixed={"every": "1h"})
    settings["plugins"]["timers"]["limit"] = 2

    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, settings) as (runtime, _):
            agent = runtime.host("agent")
            for name in ("tea", "cake"):
                await ask(agent, "timer.schedule", {"in": "1d", "name": name})
            for topic, data, message in REFUSALS:
                answer = await ask(agent, topic, data)
                assert answer["code"] == "INVALID_PARAMS", (topic, data)
                assert message in answer["message"]
            listed = (await ask(agent, "timer.list"))["timers"]
            assert sorted(timer["name"] for timer in listed) == ["cake", "fixed", "tea"]
            replaced = {"in": "2d", "name": "tea", "replace": True}
            answer = await ask(agent, "timer.schedule", replaced)
            assert answer["timer"]["next"] == "2026-01-03T00:00:00Z"

    virtual(work)


def test_a_delivery_that_fails_is_told_and_the_timer_goes_on(tmp_path: Path) -> None:
    settings = config(beat={"every": "1h"})
    settings["bus"] = {"credit_timeout": 5.0}

    async def work(clock: VirtualClock) -> None:
        async with timers(clock, tmp_path, settings) as (runtime, recorder):
            slow = runtime.host("slow").subscribe("timer.beat", capacity=1)
            await clock.sleep(3 * HOUR + 60)
            slow.close()
            reasons = [event.data["reason"] for event in recorder.on("timer.beat.missed")]
            assert len(recorder.on("timer.beat")) == 3
            assert len(reasons) == 2
            assert "had no room" in reasons[0]

    virtual(work)


@pytest.mark.parametrize(("timer", "message"), [
    ({"cron": "61 * * * *"}, "Bad minute"),
    ({"every": 60, "at": "2026-01-01T08:00:00"}, "exactly one of"),
    ({"every": 60, "timezone": "Mars/Olympus"}, "unknown time zone"),
])  # fmt: skip
@pytest.mark.anyio
async def test_a_wrong_timer_stops_the_start_and_is_named(
    timer: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        async with running("timers", config=config(wrong=timer)):
            pass
    assert "timers" in str(caught.value)


@pytest.mark.anyio
async def test_the_plugin_contract() -> None:
    await check_plugin_contract("timers", config=config(beat={"every": "1h"}))


@pytest.mark.anyio
async def test_status_says_when_the_next_timer_is_due() -> None:
    async with running("timers", config=config(launch={"at": "2099-12-01T08:00:00"})) as runtime:
        health = runtime.health()["timers"]
    assert health.message == "next at 2099-12-01T08:00:00Z"
    assert health.metrics == {"timers": 1}


@pytest.mark.anyio
async def test_real_time(tmp_path: Path) -> None:
    async with running("timers", config=config(beat={"every": 1}), state=tmp_path) as runtime:
        recorder = EventRecorder(runtime.host("watcher"), "timer.>")
        await recorder.wait_for("timer.beat", count=2)
    assert all(event.data["late_seconds"] < 0.5 for event in recorder.events)
