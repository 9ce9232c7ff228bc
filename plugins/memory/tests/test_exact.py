"""The driver `exact` keeps the contract of `loom.vectors`."""

from __future__ import annotations

from pathlib import Path

import pytest
from loom.testing import check_against_model, check_kills, check_many, check_vector_index
from loom_kernel import ConfigError
from loom_plugin_memory.exact import ExactIndex

DRIVER = "exact"
OPTIONS = [{}, {"metric": "dot"}]


@pytest.mark.feature("STO-02")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_does_what_the_contract_says(tmp_path: Path, options: dict[str, str]) -> None:
    check_vector_index(DRIVER, tmp_path, options)


@pytest.mark.feature("STO-02")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_finds_what_a_plain_comparison_finds(tmp_path: Path, options: dict[str, str]) -> None:
    check_against_model(DRIVER, tmp_path, options)


@pytest.mark.reliability("R1")
def test_a_kill_leaves_it_true(tmp_path: Path) -> None:
    check_kills(DRIVER, tmp_path)


@pytest.mark.feature("STO-02")
def test_a_hundred_thousand_are_found(tmp_path: Path) -> None:
    check_many(DRIVER, tmp_path)


@pytest.mark.parametrize("options", [{"metric": "euclid"}, {"kind": "flat"}])
def test_options_it_does_not_know_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"exact knows no option|must be cosine or dot"):
        ExactIndex.check(options)
