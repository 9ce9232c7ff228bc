"""Asking many at once and going on when enough have answered: fanout and fan-in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, Unpack

import msgspec
from loom_kernel import (
    BusClosed,
    Envelope,
    EnvelopeFields,
    HopLimitExceeded,
    InvalidEnvelope,
    LoomError,
    NoResponders,
    RequestTimeout,
)

from loom.collaboration.waiting import (
    LOW,
    Deadline,
    announce,
    next_before,
    share_labels,
    tell,
    thread_id_of,
)
from loom.contracts import ReplyShortage, Summary

if TYPE_CHECKING:
    from loom.context import Context, Thread

Strategy: TypeAlias = Literal["all", "any", "majority", "timeout"]
#: How much longer than the gathering one question may live, so that the gathering ends it.
GRACE = 1.0
#: What is wrong with the question or with the runtime, and not with one target.
FATAL = (BusClosed, HopLimitExceeded, InvalidEnvelope)


class Reply(NamedTuple):
    """What one target answered."""

    target: str
    envelope: Envelope

    @property
    def data(self) -> Any:
        """The answer itself."""
        return self.envelope.data


class Gathered(msgspec.Struct, frozen=True):
    """What a fanout brought in."""

    replies: tuple[Reply, ...]
    """In the order of arrival, at most one a target."""
    missing: tuple[str, ...]
    """Targets without a reply, in the order of asking."""
    failures: dict[str, LoomError]
    """Why, for those of the missing that could not be asked."""
    is_complete: bool
    """Whether as many answered as the strategy wants."""
    elapsed: float
    """Seconds."""

    @property
    def data(self) -> dict[str, Any]:
        """The answers by target."""
        return {reply.target: reply.data for reply in self.replies}


class _Gathering:
    """The state of one fanout."""

    def __init__(self, ctx: Context, targets: tuple[str, ...], wanted: int) -> None:
        self.targets = targets
        self.wanted = wanted
        self.replies: list[Reply] = []
        self.failures: dict[str, LoomError] = {}
        self.fatal: LoomError | None = None
        self.finished = asyncio.Event()
        self._ctx = ctx
        self._finish_if_done()

    async def run(self, data: Any, type: str, timeout: float, fields: EnvelopeFields) -> None:
        """Ask all targets; returns when enough have answered, no more can, or time is over."""
        async with asyncio.TaskGroup() as group:
            asking = [
                group.create_task(self._ask(target, data, type, timeout, fields))
                for target in self.targets
            ]
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self.finished.wait()
            await asyncio.sleep(0)  # what came in this very moment did come in time
            for task in asking:
                task.cancel()

    async def _ask(
        self, target: str, data: Any, type: str, timeout: float, fields: EnvelopeFields
    ) -> None:
        """Ask one target and note what comes of it."""
        try:
            reply = await self._ctx.host.request(
                target, data, type, timeout=timeout + GRACE, **fields
            )
        except FATAL as error:
            self.fatal = error
            self.finished.set()
        except LoomError as error:
            self.failures[target] = error
        else:
            if not self.finished.is_set():
                self.replies.append(Reply(target, reply))
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        has_enough = 0 < self.wanted <= len(self.replies)
        if has_enough or len(self.replies) + len(self.failures) == len(self.targets):
            self.finished.set()

    def result(self, elapsed: float) -> Gathered:
        """What came in."""
        answered = {reply.target for reply in self.replies}
        missing = tuple(target for target in self.targets if target not in answered)
        is_complete = len(self.replies) >= self.wanted
        return Gathered(tuple(self.replies), missing, self.failures, is_complete, elapsed)

    def summary(self, strategy: str, elapsed: float) -> Summary:
        """The same, in short."""
        result = self.result(elapsed)
        return Summary(
            strategy,
            self.wanted,
            tuple(reply.target for reply in result.replies),
            result.missing,
            {target: str(error) for target, error in self.failures.items()},
            result.is_complete,
            elapsed,
        )


async def fanout(
    ctx: Context,
    targets: Iterable[str],
    data: Any = None,
    *,
    strategy: Strategy = "all",
    first_k: int | None = None,
    timeout_ms: float = 5000,
    thread: Thread | str | None = None,
    type: str = "",
    **fields: Unpack[EnvelopeFields],
) -> Gathered:
    """Ask every topic of *targets* the same, and gather the first reply of each.

    It returns as soon as enough have answered: `all`, `any` (one), `majority` (more than half
    of the targets) or *first_k* of them; `timeout` is content with whatever arrives in time.
    It also returns when nobody is left who could still answer, and after *timeout_ms* at the
    latest, always with what arrived: it never raises because replies are missing. A target
    that nobody listens to, or that cannot be asked, is in `failures` at once and holds up
    nobody. One `collab.summary` on the thread's reply topic tells how it ended.

    *thread* is the conversation to ask in: by default that of the event being handled.

    Raises:
        ValueError: *first_k* is none of 1 to the number of targets, or the time is not over 0.
        InvalidEnvelope, HopLimitExceeded: nobody can be asked this.
        BusClosed: the runtime is stopping.
    """
    asked = _checked(targets)
    gathering = _Gathering(ctx, asked, _wanted(strategy, first_k, len(asked)))
    deadline = Deadline(ctx.clock, timeout_ms / 1000)
    fields["thread_id"] = thread_id = thread_id_of(thread or fields.get("thread_id"))
    fields.setdefault("expires", ctx.clock.time() + deadline.seconds)
    name = strategy if first_k is None else f"first_k:{first_k}"
    try:
        await gathering.run(data, type, deadline.seconds, fields)
    except asyncio.CancelledError:
        summary = gathering.summary(name, deadline.elapsed)
        topic = f"thread.{thread_id}.reply"
        tell(ctx.host, topic, summary, "collab.summary", thread_id=thread_id, priority=LOW)
        raise
    elapsed = deadline.elapsed
    await announce(ctx.host, thread_id, "collab.summary", gathering.summary(name, elapsed))
    if gathering.fatal is not None:
        raise gathering.fatal
    share_labels(reply.envelope for reply in gathering.replies)
    return gathering.result(elapsed)


def _checked(targets: Iterable[str]) -> tuple[str, ...]:
    if isinstance(targets, str):
        raise TypeError(f"the targets are one text; write [{targets!r}]")
    return tuple(dict.fromkeys(targets))


def _wanted(strategy: Strategy, first_k: int | None, count: int) -> int:
    """How many of *count* targets have to answer."""
    if first_k is not None:
        if strategy != "all":
            raise ValueError(f"either strategy={strategy!r} or first_k={first_k}, not both")
        if not 1 <= first_k <= count:
            raise ValueError(f"first_k is {first_k}, must be 1 to the number of targets, {count}")
        return first_k
    wanted = {"all": count, "any": 1, "majority": count // 2 + 1, "timeout": 0}
    if strategy not in wanted:
        raise ValueError(f"strategy is {strategy!r}, must be one of {', '.join(wanted)}")
    return wanted[strategy]


async def first_replies(
    ctx: Context, topic: str, data: Any, type: str, wanted: int, timeout: float,
    fields: EnvelopeFields,
) -> list[Envelope]:  # fmt: skip
    """Ask one topic for several replies; see `Context.request`."""
    if wanted < 1:
        raise ValueError(f"first_k is {wanted}, must be at least 1")
    deadline = Deadline(ctx.clock, timeout)
    fields["thread_id"] = thread_id = thread_id_of(fields.get("thread_id"))
    fields.setdefault("expires", ctx.clock.time() + timeout)
    replies: list[Envelope] = []
    with ctx.inbox() as inbox:
        (fields["reply_to"],) = inbox.patterns
        if not await _ask(ctx, deadline, topic, data, type, fields):
            raise NoResponders(topic)
        while len(replies) < wanted:
            reply = await next_before(inbox, deadline.left)
            if reply is None:
                break
            replies.append(reply)
    if len(replies) < wanted:
        shortage = ReplyShortage(topic, wanted, len(replies), timeout)
        await announce(ctx.host, thread_id, "collab.timeout", shortage)
    if not replies:
        raise RequestTimeout(topic, timeout, fields["reply_to"])
    share_labels(replies)
    return replies


async def _ask(
    ctx: Context, deadline: Deadline, topic: str, data: Any, type: str, fields: EnvelopeFields
) -> bool:
    """Publish a question; False if nobody listens. Slow listeners may use up all the time."""
    try:
        async with asyncio.timeout(deadline.left):
            return await ctx.host.publish(topic, data, type, **fields) != 0
    except TimeoutError:
        return True
