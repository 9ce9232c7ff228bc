"""The plugin inside a real runtime."""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path
from typing import Any

import pytest
from loom_kernel.testing import (
    EventRecorder,
    VirtualClock,
    check_plugin_contract,
    run_virtual,
    running,
    wait_until,
)

pytestmark = pytest.mark.feature("DSK-01")


def watching(folder: Path | str, *, recheck: float = 0.05, **settings: Any) -> dict[str, Any]:
    options = {"path": str(folder), "settle": 0.02, **settings}
    return {"plugins": {"files": {"recheck": recheck, "watch": {"notes": options}}}}


@pytest.mark.anyio
async def test_the_plugin_keeps_its_contract() -> None:
    await check_plugin_contract("files")


@pytest.mark.anyio
async def test_a_new_file_becomes_an_event(folder: Path) -> None:
    async with running("files", config=watching(folder, patterns=["*.md"])) as runtime:
        events = EventRecorder(runtime.host("listener"), "file.>")
        (folder / "other.txt").touch()
        (folder / "today.md").write_text("hello")
        (event,) = await events.wait_for("file.notes.created")
        assert event.subject == str(folder / "today.md")
        assert event.data["relative"] == "today.md"
        assert event.data["size"] == 5
        assert event.sender == "files"
        assert "untrusted" in event.labels
        assert runtime.health()["files"].metrics == {"watches": 1, "files": 1}


@pytest.mark.anyio
async def test_the_example_of_the_readme_works(folder: Path) -> None:
    readme = Path(__file__).parents[1] / "README.md"
    example = readme.read_text().partition("```toml\n")[2].partition("```")[0]
    (folder / "notes").mkdir()
    async with running("files", config=tomllib.loads(example), project=folder) as runtime:
        events = EventRecorder(runtime.host("listener"), "file.>")
        (folder / "notes/today.md").touch()
        await events.wait_for("file.notes.created")


@pytest.mark.anyio
async def test_a_relative_path_is_below_the_project(folder: Path) -> None:
    config = watching(folder.name)
    async with running("files", config=config, project=folder.parent) as runtime:
        events = EventRecorder(runtime.host("listener"), "file.>")
        (folder / "a").touch()
        await events.wait_for("file.notes.created")


@pytest.mark.anyio
async def test_changes_made_while_down_reach_a_plugin_that_listens_from_its_start(
    folder: Path, tmp_path: Path
) -> None:
    async with running("files", config=watching(folder), state=tmp_path / "state"):
        pass
    (folder / "meanwhile").touch()
    async with running("files", config=watching(folder), state=tmp_path / "state") as runtime:
        events = EventRecorder(runtime.host("listener"), "file.>")
        (event,) = await events.wait_for("file.notes.created")
        assert event.data["relative"] == "meanwhile"


@pytest.mark.anyio
async def test_a_missing_folder_shows_in_the_health(folder: Path) -> None:
    folder.rmdir()
    async with running("files", config=watching(folder)) as runtime:
        events = EventRecorder(runtime.host("listener"), "file.>")
        assert "no such folder" in runtime.health()["files"].message
        folder.mkdir()
        (folder / "a").touch()
        await events.wait_for("file.notes.created")
        await wait_until(lambda: runtime.health()["files"].healthy)


@pytest.mark.anyio
async def test_looms_own_state_is_not_told_of(folder: Path) -> None:
    state = folder / "deep/state"
    async with running("files", config=watching(folder), state=state) as runtime:
        events = EventRecorder(runtime.host("listener"), "file.>")
        own = state / "plugins/other/journal"
        own.parent.mkdir(parents=True)
        own.touch()
        (folder / "deep/a").touch()
        (event,) = await events.wait_for("file.notes.created")
        assert event.data["relative"] == "deep/a"


@pytest.mark.anyio
async def test_a_slow_subscriber_delays_but_loses_nothing(folder: Path) -> None:
    async with running(
        "files", config={**watching(folder), "bus": {"credit_timeout": 0.02}}
    ) as runtime:
        with runtime.host("listener").subscribe("file.*.created", capacity=2) as slow:
            names = {f"{number}" for number in range(20)}
            for name in names:
                (folder / name).touch()
            await wait_until(lambda: slow.queued == 2)
            seen = set()
            async for event in slow:
                seen.add(event.data["relative"])
                if seen == names:
                    break


@pytest.mark.anyio
async def test_a_stop_in_the_middle_is_clean(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running("files", config=watching(folder), state=tmp_path / "state"):
        for number in range(500):
            (folder / f"{number}").touch()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    async with running("files", config=watching(folder), state=tmp_path / "state") as runtime:
        await wait_until(lambda: runtime.health()["files"].metrics["files"] == 500)


def test_the_time_to_settle_is_the_clocks(folder: Path) -> None:
    async def main() -> float:
        clock = VirtualClock()
        config = watching(folder, settle=3600.0, recheck=600.0)
        async with running("files", config=config, clock=clock) as runtime:
            events = EventRecorder(runtime.host("listener"), "file.>")
            await events.wait_for("file.notes.rescanned")
            began = clock.monotonic()
            (folder / "a").touch()
            await events.wait_for("file.notes.created", timeout=86_400.0)
            return clock.monotonic() - began

    assert run_virtual(main) >= 3600
