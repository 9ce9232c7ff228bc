"""The bidder's side of the contract net: bid, and if it wins, deliver."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from loom_kernel import Envelope, LoomError

from loom.collaboration.contracting import is_score
from loom.collaboration.waiting import TAGS, Deadline, next_before, share_labels, tell
from loom.contracts import AwardNotice, Bid, CallForProposals, Outcome, read

if TYPE_CHECKING:
    from loom.context import Context

#: How much longer than the call lasts its bidders wait for the word that it is over.
GRACE = 1.0


class Award:
    """A task that was won. Deliver a result or say that it failed, once.

    As an async context manager it says so by itself when the block ends without either.
    """

    def __init__(self, ctx: Context, call: CallForProposals, notice: Envelope) -> None:
        self.call = call
        self.task = call.task
        """What is to be done."""
        self.within = read(notice, AwardNotice).within
        """Seconds that were left for it when it was awarded."""
        self.is_done = False
        """Whether the caller was told."""
        self._ctx = ctx
        self._notice = notice

    async def deliver(self, result: Any = None) -> None:
        """Give the caller the result. One who does not wait any more does not get it.

        Raises:
            LoomError: the caller was told already.
        """
        await self._tell(Outcome(self.call.id, result))

    async def fail(self, reason: str) -> None:
        """Tell the caller that there will be no result; the next best bidder may be asked.

        Raises:
            LoomError: the caller was told already.
        """
        await self._tell(Outcome(self.call.id, failure=reason or "failed"))

    async def _tell(self, outcome: Outcome) -> None:
        if self.is_done:
            raise LoomError(f"the caller of {self.call.id!r} was told already what became of it")
        self.is_done = True
        await self._ctx.host.reply(self._notice, outcome, "collab.result", tags=TAGS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not self.is_done:
            self.is_done = True
            reason = f"{type(error).__name__}: {error}" if error else "it ended without a result"
            outcome = Outcome(self.call.id, failure=reason)
            tell(self._ctx.host, self._notice.reply_to, outcome, "collab.result")


async def bid(
    ctx: Context,
    call: Envelope,
    *,
    score: float,
    promise: Any = None,
    hold_ms: float | None = None,
) -> Award | None:
    """Bid for the task of *call* (a `collab.cfp` event), and wait for the decision.

    Returns the award, or None: others won, the bid was refused, the caller is gone or did not
    decide within *hold_ms* (by default as long as the call lasts). *promise* is whatever the
    application wants the caller to know; it is in the settlement. Leaving early, by *hold_ms*
    or by being cancelled, withdraws the bid. The task itself is `award.task`.

    Raises:
        InvalidEnvelope: *call* is no call for proposals.
        ValueError: *score* is not a finite number, or *hold_ms* is not over 0.
    """
    terms = read(call, CallForProposals)
    if not is_score(score):
        raise ValueError(f"the score is {score!r}, must be a finite number")
    hold = terms.window + terms.timeout + GRACE if hold_ms is None else hold_ms / 1000
    deadline = Deadline(ctx.clock, hold)
    if call.expires and ctx.clock.time() > call.expires:
        return None  # the window is closed
    offer = Bid(terms.id, score, promise, 0.0 if hold_ms is None else hold)
    with ctx.inbox() as inbox:
        (address,) = inbox.patterns
        try:
            if not await ctx.host.reply(call, offer, "collab.bid", reply_to=address, tags=TAGS):
                return None
            answer = await next_before(inbox, deadline.left)
            while answer is not None and answer.sender != call.sender:
                answer = await next_before(inbox, deadline.left)
        except asyncio.CancelledError:
            _withdraw(ctx, call, terms, "the bidder was cancelled")
            raise
        if answer is None:
            _withdraw(ctx, call, terms, "the bidder does not wait any more")
            return None
    share_labels([answer])
    return Award(ctx, terms, answer) if answer.type == "collab.award" else None


def _withdraw(ctx: Context, call: Envelope, terms: CallForProposals, reason: str) -> None:
    tell(ctx.host, call.reply_to, Outcome(terms.id, failure=reason), "collab.result")
