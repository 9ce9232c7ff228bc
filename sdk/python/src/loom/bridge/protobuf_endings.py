"""How deliveries ended, as Protocol Buffers."""

from __future__ import annotations

from typing import Any

from loom_proto import bridge_pb2 as pb

from loom.bridge.messages import Ack, Settle


def write_ack(message: Ack, slot: pb.ClientMessage) -> None:
    """Say it in *slot*."""
    ack = slot.ack
    ack.failed = message.failed
    for first, last in message.ranges:
        ack.ranges.add(first=first, last=last)


def read_ack(slot: pb.ClientMessage) -> Ack:
    """What *slot* says."""
    return Ack([(run.first, run.last) for run in slot.ack.ranges], slot.ack.failed)


def write_settle(message: Settle, slot: pb.ClientMessage) -> None:
    """Say it in *slot*."""
    for name in ("delivery", "outcome", "reason", "delay", "state"):
        setattr(slot.settle, name, getattr(message, name))
    slot.settle.clock.extend(message.clock)


def read_settle(slot: pb.ClientMessage) -> Settle:
    """What *slot* says.

    Raises:
        ValueError: there is no such outcome.
    """
    said = slot.settle
    if said.outcome not in ("done", "failed", "retry", "reject"):
        raise ValueError(f"a delivery that ended {said.outcome!r}")
    outcome: Any = said.outcome
    return Settle(said.delivery, outcome, said.reason, said.delay, said.state, list(said.clock))
