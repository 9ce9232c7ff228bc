"""The caller's side of the contract net: call, compare bids, award, receive, settle.

The protocol is FIPA's Contract Net Interaction Protocol (SC00029H), with scores for the caller's
deliberation and, beyond it, bidders in reserve who are asked when a winner does not deliver.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack
from uuid import uuid4

from loom_kernel import (
    BusClosed,
    Envelope,
    EnvelopeFields,
    HopLimitExceeded,
    InvalidEnvelope,
    LoomError,
    Subscription,
)

from loom.collaboration.waiting import (
    HIGH,
    PRIVATE,
    TAGS,
    Deadline,
    announce,
    log,
    next_before,
    share_labels,
    tell,
    thread_id_of,
)
from loom.contracts import (
    AwardNotice,
    Bid,
    CallForProposals,
    Contract,
    Outcome,
    Rejection,
    Settlement,
    read,
)

if TYPE_CHECKING:
    from loom.context import Context, Thread


class Standing(NamedTuple):
    """A valid bid."""

    bidder: str
    score: float
    promise: Any
    address: str
    """The bidder's private inbox."""
    hold: Deadline | None
    """How long the bidder waits for the award; None = until the end."""


class _Work(NamedTuple):
    """An award that is out."""

    standing: Standing
    patience: Deadline


class _Net:
    """The state of one call."""

    def __init__(self, ctx: Context, call: CallForProposals, inbox: Subscription) -> None:
        self.standings: list[Standing] = []
        """Bids neither awarded nor rejected: as they arrived, from `execute` on by rank."""
        self.valid = 0
        self.refused: dict[str, str] = {}
        self.contracts: dict[str, Contract] = {}
        self.received: list[Envelope] = []
        self._ctx = ctx
        self._call = call
        self._inbox = inbox
        self._work: dict[str, _Work] = {}

    # -- bids --------------------------------------------------------------------------------

    async def collect(self) -> None:
        """Take bids until the window closes."""
        window = Deadline(self._ctx.clock, self._call.window)
        while (event := await next_before(self._inbox, window.left)) is not None:
            if event.type == "collab.bid":
                self._consider(event)
            elif event.type == "collab.result":
                self._withdraw(event.sender)

    def _consider(self, event: Envelope) -> None:
        bidder = event.sender
        try:
            bid = read(event, Bid)
        except InvalidEnvelope as error:
            self._refuse(event, str(error))
            return
        if not is_score(bid.score):
            self._refuse(event, f"the score is {bid.score!r}, must be a finite number")
        elif any(standing.bidder == bidder for standing in self.standings):
            self._refuse(event, "a bid of yours stands already")
        elif not event.reply_to.startswith(PRIVATE):
            self._refuse(event, "a bid must name a private inbox as reply_to")
        else:
            is_held = is_score(bid.hold) and bid.hold > 0
            hold = Deadline(self._ctx.clock, bid.hold) if is_held else None
            standing = Standing(bidder, float(bid.score), bid.promise, event.reply_to, hold)
            self.standings.append(standing)
            self.received.append(event)
            self.valid += 1

    def _refuse(self, event: Envelope, reason: str) -> None:
        self.refused[event.sender] = reason
        if event.reply_to.startswith(PRIVATE):
            self._reject(event.reply_to, reason)

    def _withdraw(self, bidder: str) -> None:
        self.standings = [known for known in self.standings if known.bidder != bidder]

    def _reject(self, address: str, reason: str) -> None:
        tell(self._ctx.host, address, Rejection(self._call.id, reason), "collab.reject")

    # -- work --------------------------------------------------------------------------------

    async def execute(self, reserves: int, patience: float) -> None:
        """Award the best bids, then the next best in place of whoever fails, until it is done."""
        deadline = Deadline(self._ctx.clock, self._call.timeout)
        self.standings.sort(key=lambda standing: -standing.score)  # stable: ties by arrival
        self.dismiss("others bid higher", self._call.awards + reserves)
        while await self._award_open(deadline, patience):
            left = min(work.patience.left for work in self._work.values())
            event = await next_before(self._inbox, min(left, deadline.left))
            if event is not None:
                self._take(event)
            elif deadline.left:
                self._give_up_late()
            else:
                break
        for bidder in list(self._work):
            self._end(bidder, failure="late: nothing was delivered in time")

    async def _award_open(self, deadline: Deadline, patience: float) -> bool:
        """Award what nobody works on; whether somebody works."""
        kept = sum(contract.is_kept for contract in self.contracts.values())
        while self.standings and kept + len(self._work) < self._call.awards:
            within = min(patience, deadline.left)
            if not within:
                break
            standing = self.standings.pop(0)
            if standing.hold is None or standing.hold.left:
                await self._award(standing, within)
        return bool(self._work)

    async def _award(self, standing: Standing, within: float) -> None:
        bidder = standing.bidder
        self._work[bidder] = _Work(standing, Deadline(self._ctx.clock, within))
        self._note(standing, failure="it is being worked on")  # holds its place in the order
        if not await self._tell_winner(standing, within):
            self._end(bidder, failure="the bidder does not wait any more")

    async def _tell_winner(self, standing: Standing, within: float) -> bool:
        notice = AwardNotice(self._call.id, standing.bidder, within)
        (inbox,) = self._inbox.patterns
        try:
            taken = await self._ctx.host.publish(
                standing.address, notice, "collab.award", reply_to=inbox, tags=TAGS, priority=HIGH
            )
        except (BusClosed, HopLimitExceeded):
            raise
        except LoomError as error:
            log.warning("%r could not be awarded: %s", standing.bidder, error)
            return False
        return taken != 0

    def _take(self, event: Envelope) -> None:
        """Note what a bidder delivered, if it is one who has the task."""
        bidder = event.sender
        if event.type == "collab.bid":
            self._refuse(event, "the window is closed")
        elif event.type == "collab.result" and bidder in self._work:
            try:
                outcome = read(event, Outcome)
            except InvalidEnvelope as error:
                self._end(bidder, failure=str(error))
                return
            self.received.append(event)
            self._end(bidder, outcome.result, outcome.failure)
        elif event.type == "collab.result":
            self._withdraw(bidder)

    def _give_up_late(self) -> None:
        for bidder, work in list(self._work.items()):
            if not work.patience.left:
                self._end(bidder, failure="late: nothing was delivered in time")

    def _end(self, bidder: str, result: Any = None, failure: str = "") -> None:
        standing, patience = self._work.pop(bidder)
        self._note(standing, result, failure, patience.elapsed)

    def _note(
        self, standing: Standing, result: Any = None, failure: str = "", elapsed: float = 0.0
    ) -> None:
        self.contracts[standing.bidder] = Contract(
            standing.bidder, standing.score, standing.promise, result, failure, elapsed
        )

    async def finish(self) -> None:
        """Refuse the bids that came too late to be looked at."""
        while self._inbox.queued and (event := await next_before(self._inbox, 0)) is not None:
            self._take(event)

    def dismiss(self, reason: str, keep: int = 0) -> None:
        """Reject all bids but the first *keep*."""
        self.standings, rest = self.standings[:keep], self.standings[keep:]
        for standing in rest:
            self._reject(standing.address, reason)


async def contract_net(
    ctx: Context,
    topic: str,
    task: Any = None,
    *,
    window_ms: float = 1000,
    timeout_ms: float = 30_000,
    awards: int = 1,
    reserves: int = 1,
    patience_ms: float | None = None,
    thread: Thread | str | None = None,
    **fields: Unpack[EnvelopeFields],
) -> Settlement:
    """Offer *task* on *topic* and have it done by the *awards* best bidders.

    Bids are taken for *window_ms*; the highest score wins, of equal ones the first. The winners
    then have *timeout_ms* together. If one fails, withdraws, or has not delivered after
    *patience_ms* (by default: the whole time, so that no two ever do the same work), the next
    best is awarded while there is time. For that the next *reserves* bidders are kept waiting;
    all the others are told at once that they lost, the reserves when the call is settled.

    Returns when enough was delivered, nobody is left to ask, or the time is over, always with
    a settlement: look at `is_complete`, `winner`, `result`, `failure`. It is also published as
    `collab.settled` on the thread's reply topic. The other side is `bid`. The protocol is FIPA
    SC00029, "FIPA Contract Net Interaction Protocol Specification".

    Raises:
        ValueError: a time is not over 0, *awards* is under 1, or *reserves* under 0.
        InvalidTopic, InvalidEnvelope, HopLimitExceeded: the call cannot be published.
        BusClosed: the runtime is stopping.
    """
    if awards < 1 or reserves < 0:
        raise ValueError(f"{awards=}, {reserves=}: must be at least 1 and at least 0")
    call = CallForProposals(uuid4().hex, task, window_ms / 1000, timeout_ms / 1000, awards)
    patience = call.timeout if patience_ms is None else patience_ms / 1000
    for seconds in (call.window, call.timeout, patience):
        Deadline(ctx.clock, seconds)
    watch = Deadline(ctx.clock, call.window + call.timeout)
    fields["thread_id"] = thread_id = thread_id_of(thread or fields.get("thread_id"))
    fields.setdefault("expires", ctx.clock.time() + call.window)
    fields["tags"] = (*TAGS, *fields.get("tags", ()))
    with ctx.inbox() as inbox:
        (fields["reply_to"],) = inbox.patterns
        net = _Net(ctx, call, inbox)
        try:
            if await ctx.host.publish(topic, call, "collab.cfp", **fields) != 0:
                await net.collect()
                await net.execute(reserves, patience)
                await net.finish()
        finally:
            net.dismiss("the call is settled")
    contracts = tuple(net.contracts.values())
    settlement = Settlement(
        call.id, topic, awards, contracts, net.valid, net.refused, watch.elapsed
    )
    share_labels(net.received)
    await announce(ctx.host, thread_id, "collab.settled", settlement)
    return settlement


def is_score(value: object) -> bool:
    """Whether bids can be compared by *value*."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
