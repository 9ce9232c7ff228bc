"""Profiles: which plugins run under which name."""

from __future__ import annotations

from pathlib import Path

import pytest
from loom_kernel import (
    ConfigError,
    Paths,
    UnknownProfile,
    chosen_plugins,
    load_profiled_config,
)

pytestmark = pytest.mark.feature("PRO-01")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "config/profiles").mkdir(parents=True)
    (tmp_path / "app").mkdir()
    return Paths(
        config=tmp_path / "config", state=tmp_path, cache=tmp_path, project=tmp_path / "app"
    )


def plugins(
    paths: Paths, profile: str = "", add: tuple[str, ...] = (), drop: tuple[str, ...] = ()
) -> list[str]:
    config, _, chosen = load_profiled_config(paths, profile, environ={})
    return chosen_plugins(chosen, config, add, drop)


def write(paths: Paths, text: str) -> None:
    assert paths.project is not None
    (paths.project / "loom.toml").write_text(text)


def test_each_shipped_profile_has_exactly_its_features(paths: Paths) -> None:
    assert plugins(paths, "mobile-lite") == ["agents", "models", "router"]
    desktop = [
        "agents", "audit", "bridge", "budgets", "chat", "control", "files", "hosts", "journal",
        "mcp", "memory", "models", "native", "process", "router", "sandbox", "timers", "tools",
        "wasm",
    ]  # fmt: skip
    assert plugins(paths, "desktop") == plugins(paths, "desktop-plus") == desktop
    server = [
        "agents",
        "audit",
        "bridge",
        "budgets",
        "control",
        "journal",
        "memory",
        "models",
        "router",
        "timers",
        "tools",
    ]
    assert plugins(paths, "server") == server
    adapters = {}
    for name in ("desktop", "desktop-plus"):
        config, _, _ = load_profiled_config(paths, name, environ={})
        adapters[name] = config.values["plugins"]["hosts"]["adapter"]
    assert adapters == {"desktop": "headless", "desktop-plus": "terminal"}


def test_every_plugin_of_a_shipped_profile_is_one_of_ours(paths: Paths) -> None:
    folders = Path(__file__).resolve().parents[2] / "plugins"
    assert all((folders / name).is_dir() for name in plugins(paths, "desktop-plus"))


def test_without_a_name_it_is_the_configured_one_or_desktop(paths: Paths) -> None:
    assert load_profiled_config(paths, environ={})[1] == "desktop"
    write(paths, "profile = 'server'")
    assert load_profiled_config(paths, environ={})[1] == "server"
    assert load_profiled_config(paths, environ={"LOOM_PROFILE": "mobile-lite"})[1] == "mobile-lite"
    assert load_profiled_config(paths, "desktop", environ={})[1] == "desktop"


def test_a_missing_profile_is_named_with_those_there_are(paths: Paths) -> None:
    with pytest.raises(
        UnknownProfile, match="'moble'; there are desktop, desktop-plus, mobile-lite"
    ):
        load_profiled_config(paths, "moble", environ={})


def test_configuration_and_flags_change_the_choice(paths: Paths) -> None:
    write(paths, "[plugins.files]\nenabled = true\n[plugins.agents]\nenabled = false\n")
    assert plugins(paths, "mobile-lite") == ["files", "models", "router"]
    drop = ("files", "models", "router")
    assert plugins(paths, "mobile-lite", add=("agents", "x"), drop=drop) == ["agents", "x"]


def test_a_profile_of_the_users_own_extends_another(paths: Paths) -> None:
    text = (
        "summary = 'mine'\nextends = 'mobile-lite'\nplugins = ['timers']\n"
        "[settings.bus]\nrealtime = 7\n"
    )
    (paths.config / "profiles" / "mine.toml").write_text(text)
    assert plugins(paths, "mine") == ["agents", "models", "router", "timers"]
    config, _, chosen = load_profiled_config(paths, "mine", environ={})
    assert chosen.summary == "mine"
    assert config.values["bus"] == {"realtime": 7}


def test_settings_of_a_profile_are_weaker_than_the_users_own(paths: Paths) -> None:
    write(paths, "[bus]\nrealtime = 9\n[profiles.mine.settings.bus]\nrealtime = 7\nbatched = 8\n")
    config, _, _ = load_profiled_config(paths, "mine", environ={})
    assert config.values["bus"] == {"realtime": 9, "batched": 8}


def test_an_extending_profile_is_stronger_than_what_it_extends(paths: Paths) -> None:
    write(
        paths,
        "[profiles.low.settings.bus]\nrealtime = 1\nbatched = 1\n"
        "[profiles.high]\nextends = 'low'\n[profiles.high.settings.bus]\nrealtime = 2\n",
    )
    config, _, _ = load_profiled_config(paths, "high", environ={})
    assert config.values["bus"] == {"realtime": 2, "batched": 1}


def test_profiles_in_a_circle_are_refused(paths: Paths) -> None:
    write(paths, "[profiles.a]\nextends = 'b'\n[profiles.b]\nextends = 'a'\n")
    with pytest.raises(ConfigError, match="a → b → a"):
        load_profiled_config(paths, "a", environ={})
