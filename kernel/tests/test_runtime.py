"""Start and end: drain, what could not be ended, and hosts that own what they start."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loom_kernel import BusClosed, Envelope, Host
from loom_kernel.testing import EventRecorder, VirtualClock, run_virtual, running, wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.feature("RT-09")]


async def test_what_is_being_handled_is_finished_before_the_end() -> None:
    done: list[int] = []

    async with running() as runtime:
        host = runtime.host("alice")

        async def handle(event: Envelope) -> None:
            await asyncio.sleep(0.01)
            done.append(event.data)

        host.on("work", handler=handle)
        for number in range(5):
            await host.publish("work", number)
    assert done == [0, 1, 2, 3, 4]


async def test_handlers_may_publish_while_they_finish_and_nobody_else() -> None:
    refused: list[str] = []
    done: list[str] = []

    async with running() as runtime:
        host = runtime.host("alice")

        async def first(event: Envelope) -> None:
            await asyncio.sleep(0.05)
            await host.publish("second")

        async def second(event: Envelope) -> None:
            done.append("second")

        async def outsider() -> None:
            await asyncio.sleep(0.02)
            try:
                await host.publish("third")
            except BusClosed as error:
                refused.append(error.topic)

        host.on("first", handler=first)
        host.on("second", handler=second)
        await host.publish("first")
        host.spawn(outsider(), "outsider")
    assert (done, refused) == (["second"], ["third"])


def test_a_handler_that_hangs_is_given_up_and_named(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        limits = {"kernel": {"drain_timeout": 20.0}}
        async with running(clock=VirtualClock(), config=limits) as runtime:
            host = runtime.host("alice")

            async def hang(event: Envelope) -> None:
                await asyncio.Event().wait()

            host.on("work", handler=hang, name="stuck-one")
            for _ in range(3):
                await host.publish("work")
            await asyncio.sleep(0)
            began = host.clock.monotonic()
            report = await runtime.stop()
            assert host.clock.monotonic() - began == pytest.approx(20, abs=1)
            assert report.undelivered == {"stuck-one": 2}
            assert not report.is_clean
            await host.aclose()

    run_virtual(main)
    assert "handlers still run after 20 s" in caplog.text
    assert "2 events were not delivered to stuck-one" in caplog.text


def test_a_task_that_ignores_its_end_is_named(
    install: Any, caplog: pytest.LogCaptureFixture
) -> None:
    install(
        "clings",
        """
        async def cling(host):
            while not host.let_go:
                try:
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    pass

        @hookimpl
        @asynccontextmanager
        async def loom_attach(host):
            host.let_go = False
            host.spawn(cling(host), "limpet")
            yield
        """,
    )

    async def main() -> None:
        async with running("clings", clock=VirtualClock()) as runtime:
            attached = runtime._attached["clings"]
            report = await runtime.stop()
            assert report.stuck == ("clings/limpet",)
            attached.host.let_go = True  # type: ignore[attr-defined]  # the plugin's own
            for task in asyncio.all_tasks():
                if task.get_name() == "clings/limpet":
                    task.cancel()

    run_virtual(main)
    assert "task clings/limpet does not end although it was cancelled" in caplog.text


async def test_a_host_ends_all_it_has_started(host: Host, runtime: Any) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    scope = host.scope("carol")
    for owner in (host, scope):
        owner.subscribe("a")
        owner.spawn(work(), "work")
    await asyncio.sleep(0)
    assert sorted(host.tasks()) == ["alice/work", "carol/work"]
    assert await host.aclose() == []
    assert ended == ["task", "task"]
    assert runtime.bus.subscriptions() == []
    assert host.tasks() == []


async def test_a_failed_task_is_one_event(host: Host) -> None:
    events = EventRecorder(host, "$loom.error")

    async def fail() -> None:
        raise ValueError("no luck")

    host.spawn(fail(), "luckless")
    (error,) = await events.wait_for("$loom.error")
    assert error.data == {
        "code": "ACTION_ERROR", "source": "alice", "error": "ValueError", "message": "no luck",
        "task": "alice/luckless",
    }  # fmt: skip
    assert error.sender == "$loom"


@pytest.mark.parametrize("failure", [ValueError("no"), SystemExit(3), KeyError()])
async def test_a_failing_handler_is_one_event_and_goes_on(
    host: Host, failure: BaseException
) -> None:
    events = EventRecorder(host, "$loom.error")
    seen: list[int] = []

    async def handle(event: Envelope) -> None:
        seen.append(event.data)
        if event.data == 1:
            raise failure

    host.on("work", handler=handle, name="worker")
    for number in (1, 2):
        await host.publish("work", number)
    await wait_until(lambda: seen == [1, 2])
    (error,) = await events.wait_for("$loom.error")
    assert error.data["error"] == type(failure).__name__
    assert (error.data["topic"], error.data["subscription"]) == ("work", "worker")


async def test_a_handler_of_errors_that_fails_does_not_go_round_in_circles(host: Host) -> None:
    events = EventRecorder(host, "$loom.error")

    async def fail(event: Envelope) -> None:
        raise ValueError("again")

    failing = host.on("$loom.error", "work", handler=fail)
    await host.publish("work")
    await wait_until(lambda: failing.stats().failed == 2)
    await asyncio.sleep(0.01)
    assert len(events.events) == 1


async def test_fifty_starts_leave_no_task(anyio_backend: str) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(50):
        async with running() as runtime:
            host = runtime.host("alice")
            host.on("a", handler=_ignore)
            await host.publish("a")
    await wait_until(lambda: len(asyncio.all_tasks()) == before)


async def _ignore(event: Envelope) -> None: ...
