"""The same scenarios for every way in which tools can be provided."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.tools.scenarios import SCENARIOS, Stage
from tests.conformance.tools.tiers import ALL, TIERS

PROOFS = sorted({proof for one in SCENARIOS for proof in one.proves})

pytestmark = [pytest.mark.anyio, pytest.mark.feature("PLG-04", "X-14", *PROOFS)]


@pytest.mark.parametrize("name", TIERS)
async def test_a_tier_passes(name: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """One after the other in one runtime; the last scenario is the crash."""
    tier = TIERS[name]
    async with tier.start(tmp_path) as runtime:
        for scenario in SCENARIOS:
            if scenario.needs <= tier.tools:
                async with Stage.open(tier, runtime) as stage:
                    with subtests.test(scenario.name):
                        await scenario.play(stage)


def test_only_what_cannot_be_is_left_out() -> None:
    """A tier that offered little would pass by not being asked."""
    left_out = {name: ALL - tier.tools for name, tier in TIERS.items()}
    assert {name for name, missing in left_out.items() if missing} == {"native"}
