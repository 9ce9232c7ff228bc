"""`loom.toml`, the settings and the code say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from deep_research import settings
from deep_research.settings import LeadSettings, ResearcherSettings, read_settings

APP = Path(settings.__file__).parents[1]
CONFIG = tomllib.loads((APP / "loom.toml").read_text("utf-8"))
KINDS: dict[str, type[msgspec.Struct]] = {"lead": LeadSettings, "researcher": ResearcherSettings}


@pytest.mark.parametrize("agent", sorted(KINDS))
def test_every_key_is_known_and_read_and_written_down(agent: str) -> None:
    shown = read_settings(agent, CONFIG["agents"][agent], KINDS[agent])
    fields = {field.name for field in msgspec.structs.fields(KINDS[agent])}
    assert set(CONFIG["agents"][agent]) == fields, "loom.toml shows each with its default"
    assert read_settings(agent, {}, KINDS[agent]) == shown
    files = [APP / "agents" / f"{agent}.py", APP / "deep_research" / "library.py"]
    code = "".join(file.read_text("utf-8") for file in files)
    assert [name for name in fields if not re.search(rf"settings\.{name}\b", code)] == []


def test_there_is_a_table_for_each_agent() -> None:
    assert {file.stem for file in (APP / "agents").glob("*.py")} == set(CONFIG["agents"])


@pytest.mark.feature("APP-05")
def test_the_agents_may_do_what_they_need_and_nothing_else() -> None:
    tools = CONFIG["plugins"]["tools"]
    assert tools["grants"] == {
        "researcher": ["web:search", "web:fetch"],
        "lead": ["fs:write_file"],
    }
    assert tools["despite_untrusted"] == ["web:search", "web:fetch"]


def test_a_misspelt_key_names_agent_and_key() -> None:
    with pytest.raises(ValueError, match=r"\[agents\.lead\].*timeout"):
        read_settings("lead", {"timeout": 1}, LeadSettings)
    assert read_settings("lead", {"enabled": True}, LeadSettings) == LeadSettings()
