"""The recorded task comes to the same answer with far fewer tokens."""

from __future__ import annotations

import pytest

from tests.bench.cognition import EXPECTED, STEPS, replay

pytestmark = pytest.mark.anyio


@pytest.mark.feature("COG-04")
@pytest.mark.feature("COG-05")
@pytest.mark.feature("COG-06")
async def test_context_engineering_saves_tokens_and_loses_nothing() -> None:
    tokens: dict[str, int] = {}
    for how in ("plain", "lines", "all"):
        result, tokens[how] = await replay(how)
        assert result.answer == f"The total is {EXPECTED}."
        assert len(result.steps) == STEPS
    assert tokens["lines"] < tokens["plain"] * (1 - 0.294)
    assert tokens["all"] <= tokens["plain"] * 0.4
