"""Every key of loom.toml is read, and a wrong one is said."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from loom.cognition import WorkingMemory
from loom_kernel import ConfigError

from chat_assistant import Histories, Settings, read_settings
from chat_assistant.history import SESSIONS

APP = Path(__file__).parents[1]
pytestmark = pytest.mark.feature("APP-01")


def test_the_file_holds_every_key_and_no_other() -> None:
    table = tomllib.loads((APP / "loom.toml").read_text("utf-8"))["agents"]["assistant"]
    assert set(table) == {field.name for field in msgspec.structs.fields(Settings)}
    settings = read_settings(table)
    assert (settings.max_iterations, settings.research_iterations) == (12, 30)


@pytest.mark.parametrize(
    "table", [{"max_iteration": 3}, {"tools": "web:fetch"}, {"remembers": "x"}]
)
def test_a_wrong_key_or_value_is_named(table: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"\[agents.assistant\]"):
        read_settings(table)


def test_sessions_are_kept_apart_and_bounded() -> None:
    state: dict[str, object] = {}
    histories = Histories(state, most=4)
    for number in range(SESSIONS + 1):
        memory = WorkingMemory(4)
        for word in range(6):
            memory.add("user", f"{number}/{word}", labels={"untrusted"})
        histories.keep(f"s{number}", memory)
    assert [entry["content"] for entry in histories.entries("s7")] == ["7/2", "7/3", "7/4", "7/5"]
    assert histories.entries("s0") == [], "the one that was used longest ago has gone"
    (first, *_) = Histories(state, most=4).memory("s9").get_recent(4)
    assert first.labels == {"untrusted"}, "labels outlive a restart"
    histories.clear("s9")
    assert histories.entries("s9") == []
