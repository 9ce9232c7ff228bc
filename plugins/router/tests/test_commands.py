"""`loom router`, as its owner uses it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import Instance

CONFIG = """
[llm.small]
model = "m"
api_base = "http://127.0.0.1:9/v1"

[llm.large]
model = "m"
api_base = "http://models.invalid/v1"
output_price = 5.0

[plugins.router]
topics = ["mail.>"]
latency_budget_ms = 5000
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    folder = tmp_path_factory.mktemp("router") / "app"
    with Instance(folder, "models", "tools", "router", config=CONFIG) as app:
        app.up()
        yield app


@pytest.mark.feature("RTE-05")
def test_an_owner_asks_why_and_what_was_decided(app: Instance) -> None:
    why = app.loom("router", "why", "Prove it, step by step.", "--privacy", "private")
    assert why.returncode == 0, why.stderr
    assert "local: small" in why.stdout
    assert "because it is private" in why.stdout
    assert "privacy forbids 1 more" in why.stdout
    told = json.loads(app.loom("router", "why", "Hi", "--agent", "ada", "--json").stdout)
    assert told["decision"]["agent"] == "ada"
    assert app.loom("router", "decisions").stdout == "no decisions\n"
    sent = app.loom("publish", "mail.in", '"Hello"')
    assert sent.returncode == 0, sent.stderr
    (record,) = json.loads(app.loom("router", "decisions", "--json").stdout)
    assert (record["route"], record["endpoint"]) == ("local", "small")
    assert "small" in app.loom("router", "decisions", "--route", "local").stdout
    assert app.loom("router", "decisions", "--route", "cloud").stdout == "no decisions\n"
    for id in (record["event_id"], record["id"]):
        explained = app.loom("router", "explain", id)
        assert "local: small" in explained.stdout
        assert "because" in explained.stdout
    unknown = app.loom("router", "explain", "nonesuch")
    assert unknown.returncode == 1
    assert "loom router decisions" in unknown.stderr


def test_a_level_that_is_none_is_a_mistake_in_the_command(app: Instance) -> None:
    assert app.loom("router", "why", "Hi", "--privacy", "secret").returncode == 2


def test_nothing_runs(tmp_path: Path) -> None:
    with Instance(tmp_path / "app", "router") as app:
        assert app.loom("router", "decisions").returncode == 4
