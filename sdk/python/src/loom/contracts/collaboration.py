"""Collaboration: what agents tell each other while they work together.

collab.timeout     on the thread's reply topic: too few replies came (`ReplyShortage`)
collab.summary     on the thread's reply topic: how a fanout ended (`Summary`)
collab.barrier     on `collab.barrier.<name>`: a member comes, passes or leaves (`BarrierStep`)
collab.cfp         on the topic of the caller's choice: `CallForProposals`
collab.bid · .award · .reject · .result
                   privately between caller and bidder: `Bid`, `AwardNotice`, `Rejection`, `Outcome`
collab.settled     on the thread's reply topic: how a call ended (`Settlement`)
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class ReplyShortage(msgspec.Struct, frozen=True):
    """A request for several replies got fewer in its time."""

    topic: str
    wanted: int
    received: int
    timeout: float
    """Seconds."""


class Summary(msgspec.Struct, frozen=True):
    """How a fanout ended."""

    strategy: str
    wanted: int
    """How many replies make it complete."""
    answered: tuple[str, ...]
    """The targets that answered, in the order of arrival."""
    missing: tuple[str, ...]
    failures: dict[str, str]
    """Why, for those of the missing that could not be asked."""
    is_complete: bool
    elapsed: float
    """Seconds."""


class BarrierStep(msgspec.Struct, frozen=True):
    """What a member of a barrier tells the others; who it is says the event's sender.

    It is `waiting` for the others (or answers one that is, with `to`); it has `passed` with
    those in *tokens*; or it has `left` without the *missing*.
    """

    state: Literal["waiting", "passed", "left"]
    token: str
    """Tells this call of the member from its others."""
    to: str = ""
    """The token of the call that this answers."""
    tokens: dict[str, str] = {}
    missing: tuple[str, ...] = ()


class CallForProposals(msgspec.Struct, frozen=True):
    """A task is offered to whoever bids best."""

    id: str
    task: Any
    window: float
    """Seconds within which to bid."""
    timeout: float
    """Seconds after the window within which the work must be done."""
    awards: int = 1
    """How many bidders get the task."""


class Bid(msgspec.Struct, frozen=True):
    """An offer to do the task of a call."""

    call: str
    score: float
    """Higher wins."""
    promise: Any = None
    """What the bidder says it will deliver, in words of the application's own."""
    hold: float = 0.0
    """Seconds for which the bidder waits for the award; 0 = until the call is settled."""


class AwardNotice(msgspec.Struct, frozen=True):
    """The task is the winner's to do."""

    call: str
    winner: str
    within: float
    """Seconds that are left for the work."""


class Rejection(msgspec.Struct, frozen=True):
    """A bid did not win, or cannot be used."""

    call: str
    reason: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of an awarded task, or of a bid that is withdrawn: a result, or a failure."""

    call: str
    result: Any = None
    failure: str = ""


class Contract(msgspec.Struct, frozen=True):
    """One award and what became of it."""

    winner: str
    score: float
    promise: Any = None
    result: Any = None
    failure: str = ""
    """Why there is no result; empty = there is one."""
    elapsed: float = 0.0
    """Seconds from the award on."""

    @property
    def is_kept(self) -> bool:
        """Whether the winner delivered."""
        return not self.failure


class Settlement(msgspec.Struct, frozen=True):
    """How a call for proposals ended."""

    call: str
    topic: str
    awards: int
    """How many results were wanted."""
    contracts: tuple[Contract, ...]
    """Every award, in the order of awarding; those that failed too."""
    bids: int
    """How many bids were valid."""
    refused: dict[str, str] = {}
    """Bidders whose bid could not be used, and why."""
    elapsed: float = 0.0
    """Seconds from the call on."""

    @property
    def kept(self) -> tuple[Contract, ...]:
        """The contracts whose winners delivered."""
        return tuple(contract for contract in self.contracts if contract.is_kept)

    @property
    def is_complete(self) -> bool:
        """Whether as many results came as were wanted."""
        return len(self.kept) >= self.awards

    @property
    def winner(self) -> str:
        """Who delivered (the best bidder of those who did); empty = nobody."""
        return next((contract.winner for contract in self.kept), "")

    @property
    def result(self) -> Any:
        """What the winner delivered."""
        return next((contract.result for contract in self.kept), None)

    @property
    def failure(self) -> str:
        """Why nobody delivered; empty = somebody did."""
        if self.kept:
            return ""
        return self.contracts[-1].failure if self.contracts else "nobody made a valid bid"
