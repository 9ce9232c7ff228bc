"""Programs that end: started again with patience, given up in time, and brought back by hand."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from loom_plugin_process.launch import clear_folders, make_folder, sockets_of

from plugins.process.tests.house import house, is_alive, program

pytestmark = [pytest.mark.anyio, pytest.mark.feature("PLG-03")]


@pytest.mark.reliability("R13")
async def test_a_crash_storm_ends_in_quarantine_and_disturbs_nobody(tmp_path: Path) -> None:
    """Ten programs that end at once; the back-off is shortened, the limit of restarts is not."""
    storm = {f"crash{number}": program("exits.py") for number in range(10)}
    programs = {"words": program("words.py"), **storm}
    async with house(tmp_path, programs, first_delay=0.02, longest_delay=0.1) as home:
        await home.reached("words", "running", timeout=30.0)
        for name in storm:
            record = await home.reached(name, "quarantined", timeout=60.0)
            assert record["restarts"] == 5, "six starts"
            assert home.told(name) == ["restarting"] * 5 + ["quarantined"]
            assert (await home.call("words:echo", text=name)).output == name
        assert not children(), "no zombies"
        health = home.runtime.health()["process"]
        assert health.metrics == {"plugins": 11.0, "running": 1.0, "restarts": 50.0}


async def test_one_that_was_given_up_is_started_by_hand(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit(1)", "utf-8")
    words = program("words.py")
    entry = {**words, "command": ["python3", str(script)]}
    async with house(tmp_path, {"words": entry}, max_restarts=0) as home:
        await home.reached("words", "quarantined")
        script.write_text(Path(words["command"][1]).read_text("utf-8"), "utf-8")
        shown = (await home.ask("words", "inspect"))["shown"]
        record = await home.ask("words", "trust", shown=shown)
        assert (record["state"], record["reason"]) == ("running", "")
        assert (await home.call("words:echo", text="back")).output == "back"


async def test_its_tools_are_withdrawn_when_it_is_given_up(tmp_path: Path) -> None:
    async with house(tmp_path, {"words": program("words.py")}, max_restarts=0) as home:
        pid = (await home.reached("words", "running"))["pid"]
        os.kill(pid, signal.SIGKILL)
        record = await home.reached("words", "quarantined")
        assert record["reason"].startswith("it was killed by SIGKILL")
        assert not record["tools"]
        assert not [tool for tool in await home.tools() if tool.owner == "words"]
        assert (await home.call("words:echo", text="x")).code == "CAPABILITY_ERROR"
        assert (await home.ask("words", "restart"))["state"] == "running"
        assert (await home.call("words:echo", text="x")).output == "x"


@pytest.mark.feature("PLG-04")
async def test_a_restart_lets_a_call_finish_and_makes_a_new_process(tmp_path: Path) -> None:
    async with house(tmp_path, {"hostile": program("hostile.py")}) as home:
        pid = (await home.reached("hostile", "running"))["pid"]
        work = home.caller.spawn(home.call("hostile:sleep", seconds=0.5), "work")
        await home.events.wait_for("tool.call.started")
        record = await home.ask("hostile", "restart")
        assert (await work).is_ok
        assert record["pid"] != pid
        assert record["restarts"] == 1
        assert not is_alive(pid)


@pytest.mark.feature("PLG-04")
async def test_events_wait_for_one_that_is_started_again(tmp_path: Path) -> None:
    words = program("words.py", subscribe=["heard.>"], publish=["said.>"])
    async with house(tmp_path, {"words": words}, first_delay=0.05) as home:
        pid = (await home.reached("words", "running"))["pid"]
        os.kill(pid, signal.SIGKILL)
        await home.reached("words", "restarting")
        cause = [await home.caller.publish("heard.this", {"text": str(n)}) for n in range(20)]
        assert cause
        said = await home.events.wait_for("said.again", 20, timeout=15.0)
        assert [event.data["text"] for event in said] == [str(n) for n in range(20)]
        heard = home.events.on("heard.this")
        assert [event.causation_id for event in said] == [event.id for event in heard]
        assert {event.sender for event in said} == {"words"}


def test_a_folder_with_a_long_path_serves_too(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 80) / ("y" * 80)
    folder = make_folder(deep)
    assert len(os.fsencode(folder)) < 80
    assert folder.stat().st_mode & 0o777 == 0o700
    clear_folders(deep)
    assert not sockets_of(deep).exists()


def children() -> list[int]:
    """The processes of this one that have ended and that nobody has waited for."""
    own = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text("ascii")
    return [int(pid) for pid in own.split() if not is_alive(int(pid))]
