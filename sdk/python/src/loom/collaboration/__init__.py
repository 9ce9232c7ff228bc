"""Working together: functions over a `Context`, the same embedded and through a bridge.

fanout          ask several topics at once, and go on when enough have answered
barrier         wait until all members have come
contract_net    offer a task to whoever bids best; `bid` is the other side

None of them keeps a coordinator, a task or a subscription after it has returned or was
cancelled. What they tell each other is in `loom.contracts`.
"""

from __future__ import annotations

from loom.collaboration.bidding import Award, bid
from loom.collaboration.contracting import contract_net
from loom.collaboration.gathering import Gathered, Reply, Strategy, fanout
from loom.collaboration.meeting import BarrierTimeout, barrier

__all__ = [
    "Award",
    "BarrierTimeout",
    "Gathered",
    "Reply",
    "Strategy",
    "barrier",
    "bid",
    "contract_net",
    "fanout",
]
