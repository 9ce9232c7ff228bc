"""The back-off between two starts, and when there is none any more."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from random import Random

import msgspec
import pytest
from loom_plugin_mcp.restarts import JITTER, Restarts
from loom_plugin_mcp.settings import Settings

pytestmark = pytest.mark.feature("MCP-04")


def restarts(**changed: float) -> Restarts:
    manifest = tomllib.loads(files("loom_plugin_mcp").joinpath("loom-plugin.toml").read_text())
    defaults = {name: setting["default"] for name, setting in manifest["settings"].items()}
    return Restarts(msgspec.convert(defaults | changed, Settings), Random(1))


def test_five_restarts_a_minute_and_no_more() -> None:
    found, now = restarts(), 100.0
    for attempt in range(5):
        delay = found.next_delay(now, lasted=0.1)
        assert delay is not None
        assert delay == pytest.approx(0.2 * 2**attempt, rel=JITTER)
        now += delay
    assert found.next_delay(now, lasted=0.1) is None
    found.reset()
    assert found.next_delay(now, lasted=0.1) == pytest.approx(0.2, rel=JITTER)


def test_the_delay_grows_up_to_half_a_minute_and_begins_anew_after_good_health() -> None:
    found, now = restarts(max_restarts=1_000), 0.0
    for _ in range(12):
        now += found.next_delay(now, lasted=0.1) or 0.0
    assert found.next_delay(now, lasted=0.1) == pytest.approx(30.0, rel=JITTER)
    assert found.next_delay(now, lasted=61.0) == pytest.approx(0.2, rel=JITTER)
