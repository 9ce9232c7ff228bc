"""Groups: competing consumers share what is published."""

from __future__ import annotations

import pytest
from loom_kernel import BackpressureTimeout, Host

pytestmark = [pytest.mark.anyio, pytest.mark.feature("BUS-01")]


async def test_each_event_goes_to_one_member_in_turn(host: Host) -> None:
    members = [host.subscribe("job", group="workers") for _ in range(3)]
    watcher = host.subscribe("job")
    for _ in range(9):
        assert await host.publish("job") == 2
    assert [member.queued for member in members] == [3, 3, 3]
    assert watcher.queued == 9


async def test_groups_do_not_compete_with_each_other(host: Host) -> None:
    one, two = host.subscribe("job", group="one"), host.subscribe("job", group="two")
    assert await host.publish("job") == 2
    assert (one.queued, two.queued) == (1, 1)


async def test_a_full_member_is_passed_over(host: Host) -> None:
    full = host.subscribe("job", group="workers", capacity=1)
    free = host.subscribe("job", group="workers")
    for _ in range(10):
        assert await host.publish("job") == 1
    assert (full.queued, free.queued) == (1, 9)


async def test_a_full_member_does_not_refuse_what_another_takes(host: Host) -> None:
    full = host.subscribe("job", group="workers", capacity=1)
    free = host.subscribe("job", group="workers", capacity=3)
    for _ in range(4):
        assert host.publish_nowait("job") == 1
    with pytest.raises(BackpressureTimeout):
        host.publish_nowait("job")
    assert (full.queued, free.queued) == (1, 3)


async def test_a_member_that_leaves_hands_over_to_the_others(host: Host) -> None:
    leaving = host.subscribe("job", group="workers")
    staying = host.subscribe("job.>", "job", group="workers")
    leaving.close()
    for _ in range(4):
        assert await host.publish("job") == 1
    assert staying.queued == 4


async def test_only_members_of_the_wanted_type_are_asked(host: Host) -> None:
    red = host.subscribe("job", group="workers", types=["red"])
    blue = host.subscribe("job", group="workers", types=["blue"])
    for kind in ("red", "blue", "blue", "green"):
        await host.publish("job", None, kind)
    assert (red.queued, blue.queued) == (1, 2)
