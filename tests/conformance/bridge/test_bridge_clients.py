"""Every client of the bridge passes every scenario, alone with its kind and among others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from loom_kernel.testing import running

from tests.conformance.bridge.kit import KINDS, QUICK, Drivers, Stage, available, roles, scenarios

SCENARIOS = scenarios()
PLAYED = list(available())
pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def drivers() -> Iterator[Drivers]:
    drivers = Drivers()
    yield drivers
    drivers.end()


def marked(scenario: dict[str, Any], *more: Any) -> Any:
    proofs = scenario.get("proves", [])
    marks = [pytest.mark.feature("X-14")]
    for proof in proofs:
        promise = proof[:1] in "RS" and "-" not in proof
        marks.append(pytest.mark.reliability(proof) if promise else pytest.mark.feature(proof))
    name = scenario["name"].replace(" ", "-").replace(",", "")
    return pytest.param(scenario, *more, marks=marks, id="-".join([*more, name]))


async def play(
    scenario: dict[str, Any], kinds: dict[str, str], drivers: Drivers, home: Path
) -> None:
    settings = {"plugins": {"bridge": QUICK}}
    async with (
        running("agents", "tools", "bridge", config=settings) as runtime,
        AsyncExitStack() as stack,
    ):
        await Stage(runtime, stack, drivers, home).play(scenario, kinds)


@pytest.mark.parametrize(
    ("scenario", "kind"), [marked(one, kind) for kind in PLAYED for one in SCENARIOS]
)
async def test_a_client_passes(
    scenario: dict[str, Any], kind: str, drivers: Drivers, home: Path
) -> None:
    await play(scenario, dict.fromkeys(roles(scenario), kind), drivers, home)


@pytest.mark.parametrize("scenario", [marked(one) for one in SCENARIOS if len(roles(one)) > 1])
async def test_clients_of_different_kinds_pass_together(
    scenario: dict[str, Any], drivers: Drivers, home: Path
) -> None:
    names = roles(scenario)
    start = SCENARIOS.index(scenario)
    kinds = {name: PLAYED[(start + 2 * place) % len(PLAYED)] for place, name in enumerate(names)}
    await play(scenario, kinds, drivers, home)


def test_every_kind_of_client_is_there() -> None:
    """A driver whose program is missing would pass by not being asked."""
    assert set(PLAYED) == set(KINDS), set(KINDS) - set(PLAYED)
