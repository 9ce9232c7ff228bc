"""The driver `faiss` keeps the contract of `loom.vectors`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loom.testing import (
    KeptVectors,
    check_against_model,
    check_kills,
    check_many,
    check_vector_index,
    random_vectors,
)
from loom_kernel import ConfigError
from loom_plugin_faiss.index import FaissIndex

DRIVER = "faiss"
FLAT: list[dict[str, Any]] = [{}, {"metric": "dot"}]
GRAPH: dict[str, Any] = {"kind": "hnsw"}
NEARLY = 0.9
"""What a graph must find of what is true."""


@pytest.mark.feature("STO-02")
@pytest.mark.parametrize("options", FLAT, ids=str)
def test_it_does_what_the_contract_says(tmp_path: Path, options: dict[str, Any]) -> None:
    check_vector_index(DRIVER, tmp_path, options)


@pytest.mark.feature("STO-02")
def test_a_graph_nearly_does_what_the_contract_says(tmp_path: Path) -> None:
    check_vector_index(DRIVER, tmp_path, GRAPH, recall=NEARLY)


@pytest.mark.parametrize("options", FLAT, ids=str)
def test_it_finds_what_a_plain_comparison_finds(tmp_path: Path, options: dict[str, Any]) -> None:
    check_against_model(DRIVER, tmp_path, options)


def test_a_graph_finds_nothing_that_is_not_there(tmp_path: Path) -> None:
    check_against_model(DRIVER, tmp_path, GRAPH, recall=0.0)


@pytest.mark.reliability("R1")
@pytest.mark.parametrize(("options", "recall"), [({}, 1.0), (GRAPH, NEARLY)], ids=str)
def test_a_kill_leaves_it_true(tmp_path: Path, options: dict[str, Any], recall: float) -> None:
    check_kills(DRIVER, tmp_path, options, recall=recall)


@pytest.mark.feature("STO-02")
def test_a_hundred_thousand_are_found(tmp_path: Path) -> None:
    check_many(DRIVER, tmp_path)


def test_a_graph_finds_nearly_all_of_some_thousand(tmp_path: Path) -> None:
    check_many(DRIVER, tmp_path, GRAPH, count=4_000, dimension=16, recall=NEARLY)


@pytest.mark.reliability("R5")
def test_the_file_is_used_only_if_it_is_of_this_state(tmp_path: Path) -> None:
    truth = KeptVectors(tmp_path)
    truth.change(dict(enumerate(random_vectors(50))))
    FaissIndex(tmp_path / "i", 8, truth, {}).save()
    assert FaissIndex(tmp_path / "i", 8, truth, {}).was_read
    assert not FaissIndex(tmp_path / "i", 8, truth, {"metric": "dot"}).was_read
    truth.change({}, [3])
    assert not FaissIndex(tmp_path / "i", 8, truth, {}).was_read
    truth.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    truth = KeptVectors(tmp_path)
    FaissIndex(tmp_path / "i", 8, truth, {}).save()
    (file,) = (tmp_path / "i").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    truth.close()


def test_tombstones_do_not_pile_up(tmp_path: Path) -> None:
    truth = KeptVectors(tmp_path)
    index = FaissIndex(tmp_path / "i", 8, truth, GRAPH)
    for data in random_vectors(400):
        truth.change({1: data})
        index.add([1], data)
    assert index.count == 1
    assert len(index._index._ids) < 100
    truth.close()


@pytest.mark.parametrize("options", [{"kind": "ivf"}, {"links": 1}, {"nprobe": 3}], ids=str)
def test_options_it_does_not_know_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"plugins\.memory\.index"):
        FaissIndex.check(options)
