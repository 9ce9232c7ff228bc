"""What is installed is found without importing it, and remembered as long as nothing changes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from loom_kernel import installed

pytestmark = pytest.mark.feature("X-10")


def test_a_plugin_is_found_with_its_manifest_and_not_imported(install: Any) -> None:
    home = install("probe", "raise SystemExit('imported')", 'requires = ["agents"]\n')
    entry = installed()["probe"]
    assert (entry["module"], entry["problem"]) == ("strange_probe.plugin", "")
    assert (entry["distribution"], entry["version"]) == ("strange_probe", "1.0")
    assert entry["file"] == str(home / "loom-plugin.toml")
    assert entry["manifest"] == {
        "hook_api": 1, "name": "probe", "summary": "for a test", "requires": ["agents"],
    }  # fmt: skip
    assert "strange_probe" not in sys.modules


def test_the_list_is_sorted(install: Any) -> None:
    for name in ("zeta", "alpha", "mid"):
        install(name)
    assert list(installed()) == sorted(installed())


def test_the_cache_is_used_while_nothing_changes(install: Any, tmp_path: Path) -> None:
    install("probe")
    cache = tmp_path / "cache"
    found = installed(str(cache))
    (file,) = cache.iterdir()
    content = json.loads(file.read_text())
    content["entries"]["probe"]["version"] = "from the cache"
    file.write_text(json.dumps(content))
    assert installed(str(cache))["probe"]["version"] == "from the cache"
    assert installed()["probe"] == found["probe"]


def test_a_changed_manifest_is_noticed(install: Any, tmp_path: Path) -> None:
    home = install("probe")
    cache = str(tmp_path / "cache")
    installed(cache)
    manifest = home / "loom-plugin.toml"
    manifest.write_text(manifest.read_text().replace("for a test", "changed"))
    assert installed(cache)["probe"]["manifest"]["summary"] == "changed"


def test_a_new_and_a_removed_distribution_are_noticed(install: Any, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    assert "probe" not in installed(cache)
    home = install("probe")
    assert "probe" in installed(cache)
    metadata = home.parent / "strange_probe-1.0.dist-info"
    metadata.rename(home.parent / "gone")
    assert "probe" not in installed(cache)


@pytest.mark.parametrize("content", ["", "{", "[]", "5", '{"key": 1}', '{"key": 1, "entries": {}}'])
def test_a_damaged_cache_is_only_slow(install: Any, tmp_path: Path, content: str) -> None:
    install("probe")
    cache = tmp_path / "cache"
    installed(str(cache))
    (file,) = cache.iterdir()
    file.write_text(content)
    assert "probe" in installed(str(cache))


def test_a_cache_that_cannot_be_written_is_only_slow(install: Any, tmp_path: Path) -> None:
    install("probe")
    (tmp_path / "file").touch()
    assert "probe" in installed(str(tmp_path / "file" / "cache"))


def test_the_cache_is_the_owners_alone(install: Any, tmp_path: Path) -> None:
    installed(str(tmp_path / "cache"))
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
