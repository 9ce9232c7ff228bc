"""The choice alone: whatever the case, what must hold holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom.contracts import ModelRecord
from loom_plugin_router.choosing import Candidate, Case, choose
from loom_plugin_router.privacy import LEVELS, is_allowed, rank, strictest

names = st.sampled_from(["a", "b", "c"])
figures = st.floats(0, 1000)


def candidates(is_local: bool) -> st.SearchStrategy[list[Candidate]]:
    prefix = "here" if is_local else "there"
    costs = st.just(0.0) if is_local else st.floats(0, 0.05)
    one = st.builds(
        Candidate, names.map(lambda name: f"{prefix}-{name}"), st.just(is_local), figures, costs
    )
    return st.lists(one, max_size=3, unique_by=lambda found: found.name)


cases = st.builds(
    Case,
    local=candidates(True),
    cloud=candidates(False),
    forbidden=st.integers(0, 2),
    level=st.sampled_from(LEVELS),
    confidence=st.floats(0, 1),
    is_supported=st.booleans(),
    latency_ms=figures,
    cost_cap=st.floats(0, 0.05),
    quality=st.floats(0, 1),
    hybrid_from=st.floats(0, 1),
    is_dropped=st.booleans(),
    pick=st.sampled_from([None, lambda found: found[-1]]),
)


@pytest.mark.feature("RTE-01", "RTE-02", "RTE-03")
@given(cases)
def test_limits_hold_whatever_the_case(case: Case) -> None:
    choice = choose(case)
    known = (*case.local, *case.cloud)
    assert all(one in known for one in choice.candidates)
    assert (choice.endpoint is None) == (choice.route in ("defer", "drop"))
    assert (choice.refine is not None) == (choice.route == "hybrid")
    away = [one for one in choice.candidates if not one.is_local]
    assert all(one.cost <= case.cost_cap for one in away), "nothing over the cap is bought"
    if case.level != "public":
        assert len(away) <= 1, "only what is public goes elsewhere twice"
    if case.local:
        assert choice.endpoint is not None, "who can think here always does"
    late = any(one.ms > case.latency_ms for one in choice.candidates)
    if late and choice.route != "hybrid":
        assert "latency_budget" in choice.violations
    if choice.route == "drop":
        assert case.is_dropped
        assert case.forbidden
    assert choice.reason


@pytest.mark.feature("RTE-02", "X-02")
@given(
    st.booleans(),
    st.booleans(),
    st.sets(st.sampled_from(["local-only", "private", "sensitive", "untrusted"])),
    st.lists(st.sampled_from([*LEVELS, "", "nonsense"])),
)
def test_nothing_held_is_allowed_elsewhere(
    is_local: bool, is_trusted: bool, labels: set[str], said: list[str]
) -> None:
    record = ModelRecord("x", "m", is_local, is_trusted)
    level = strictest(said, frozenset(labels))
    held = "local-only" in (*said, *labels) or "nonsense" in said
    private = not held and "private" in (*said, *labels)
    assert is_allowed(record, level, ["x"]) is (
        is_local or private or (not held and (is_trusted or level != 1))
    )
    assert is_allowed(record, level, []) is (
        is_local or (not held and not private and (is_trusted or level != 1))
    )
    assert level >= max((rank(one) for one in said if one), default=0)
