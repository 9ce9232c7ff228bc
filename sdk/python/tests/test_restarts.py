"""Back-off and its limit: figures alone, no process and no waiting."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from loom.processes import Restarts

pytestmark = pytest.mark.feature("RT-08")


class Policy(msgspec.Struct, frozen=True):
    """The promised figures."""

    first_delay: float = 0.2
    longest_delay: float = 30.0
    jitter: float = 0.2
    healthy_after: float = 60.0
    max_restarts: int = 5
    restart_window: float = 60.0


def restarts(**changed: float) -> Restarts:
    return Restarts(msgspec.structs.replace(Policy(), **changed), Random(1))


def crash(policy: Restarts, count: int, *, lasting: float = 0.0) -> list[float | None]:
    """The delays after *count* failures in a row, each *lasting* seconds after its start."""
    now, delays = 0.0, []
    for _ in range(count):
        now += lasting
        delays.append(policy.next_delay(now, lasting))
        now += delays[-1] or 0.0
    return delays


def test_the_delay_doubles_up_to_the_longest() -> None:
    policy = restarts(jitter=0.0, max_restarts=1000)
    delays = crash(policy, 10)
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_the_jitter_keeps_those_that_failed_together_apart() -> None:
    policy = restarts(max_restarts=1000)
    delays = []
    for _ in range(1000):
        policy.reset()
        delays.append(crash(policy, 1)[0] or 0.0)
    assert 0.16 <= min(delays) < 0.17
    assert 0.23 < max(delays) <= 0.24


@pytest.mark.reliability("R13")
def test_the_sixth_restart_within_a_minute_is_one_too_many() -> None:
    delays = crash(restarts(), 6)
    assert None not in delays[:5]
    assert delays[5] is None


def test_restarts_that_are_far_apart_are_not_counted_together() -> None:
    assert None not in crash(restarts(), 100, lasting=13.0)
    assert None in crash(restarts(), 100, lasting=5.0)


def test_a_minute_of_health_resets_the_delay() -> None:
    policy = restarts(jitter=0.0)
    assert crash(policy, 3) == [0.2, 0.4, 0.8]
    assert policy.next_delay(100.0, lasted=59.0) == 1.6
    assert policy.next_delay(200.0, lasted=60.0) == 0.2


def test_a_reset_forgets_everything() -> None:
    policy = restarts(jitter=0.0)
    crash(policy, 6)
    policy.reset()
    assert crash(policy, 6) == [0.2, 0.4, 0.8, 1.6, 3.2, None]


def test_without_restarts_the_first_failure_is_the_last() -> None:
    assert crash(restarts(max_restarts=0), 1) == [None]
