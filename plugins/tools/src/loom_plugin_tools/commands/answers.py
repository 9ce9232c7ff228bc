"""What the owner's orders answer, for the commands that give them."""

from __future__ import annotations

from typing import Any

from loom.instance import CommandFailed, Refused, answer_of
from loom_kernel import Paths

PATIENCE = 10.0
"""Seconds that an order has to be obeyed."""


def order(paths: Paths, topic: str, data: Any = None, *, timeout: float = PATIENCE) -> Any:
    """What `orders` answers to *data* on *topic*.

    Raises:
        CommandFailed: it says no, or nobody listens.
    """
    answer = answer_of(paths, topic, data, timeout=timeout)
    if problem := answer.get("error"):
        wrong = problem["code"] == "INVALID_PARAMS"
        raise (Refused if wrong else CommandFailed)(problem["message"])
    return answer
