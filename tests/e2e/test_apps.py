"""The apps of the repository with their agents as processes, as a user runs them."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loom.testing.models import FakeModels

from tests.e2e.instance import Instance, events, is_alive, kill, wait_for

APPS = Path(__file__).parents[2] / "sdk" / "apps"
QUESTION = "How does a loom lift threads, and who used punched cards?"
TRIO = ("planner", "researcher", "writer")


def app(name: str, home: Path) -> Instance:
    folder = home / name
    ignored = shutil.ignore_patterns(".loom", "__pycache__", "tests")
    shutil.copytree(APPS / name, folder, ignore=ignored)
    return Instance(folder)


@pytest.fixture
def trio(home: Path) -> Iterator[Instance]:
    with app("trio", home) as instance:
        instance.up()
        wait_for(lambda: are_running(instance))
        yield instance


def are_running(instance: Instance) -> bool:
    found = instance.agents()
    return all(found.get(id, {}).get("status") == "active" for id in TRIO)


def ask(instance: Instance, question: str) -> None:
    asked = json.dumps({"question": question})
    done = instance.loom("publish", "topic.planner", asked, "--type", "user.question")
    assert done.returncode == 0, done.stderr


def answer(watching: Any) -> dict[str, Any]:
    """The next answer that `loom tail` shows."""
    (event,) = events([watching.stdout.readline()])
    found: dict[str, Any] = event["data"]
    return found


@pytest.mark.feature("SDK-03")
@pytest.mark.feature("COL-08")
def test_three_processes_answer_a_question(trio: Instance) -> None:
    agents = trio.agents()
    pids = {agents[id]["pid"] for id in TRIO}
    assert len(pids) == 3
    assert {agents[id]["kind"] for id in TRIO} == {"process"}
    assert trio.status()["pid"] not in pids
    watching = trio.tail("trio.answered")
    ask(trio, QUESTION)
    found = answer(watching)
    assert "punched cards" in found["text"]
    assert "SUMMARY: " in found["text"]
    assert (trio.folder / found["path"]).read_text("utf-8") == found["text"]
    trio.loom("down")
    wait_for(lambda: not any(map(is_alive, pids)))


@pytest.mark.feature("RT-08")
@pytest.mark.feature("RT-01")
@pytest.mark.reliability("R13")
@pytest.mark.parametrize("victim", TRIO)
def test_a_killed_process_comes_back_and_the_question_is_answered(
    trio: Instance, victim: str
) -> None:
    watching = trio.tail("trio.answered")
    kill(trio.agents()[victim]["pid"])
    ask(trio, QUESTION)
    assert "SUMMARY: " in answer(watching)["text"]
    record = trio.agents()[victim]
    assert record["restarts"] == 1
    assert "SIGKILL" in record["reason"]
    assert {trio.agents()[id]["restarts"] for id in TRIO if id != victim} == {0}


@pytest.mark.feature("RT-08")
def test_the_desk_does_the_same_with_its_agents_as_processes(home: Path) -> None:
    with app("desk", home) as desk:
        desk.up("--set", "plugins.agents.run=process")
        wait_for(lambda: len([a for a in desk.agents().values() if a["status"] == "active"]) == 3)
        watching = desk.tail("report.written")
        text = "# Tides\n\nThe tide tables of the harbour are printed every year. Who reads them?\n"
        (desk.folder / "inbox" / "tides.md").write_text(text)
        assert answer(watching)["report"] == "tides.report.md"
        report = (desk.folder / "inbox" / "tides.report.md").read_text("utf-8")
        assert "Who reads them?" in report
        assert {agent["kind"] for agent in desk.agents().values()} == {"process"}


OPINION = {"title": "On tides", "summary": ["Tables are printed yearly."], "key_points": []}


@pytest.mark.anyio
@pytest.mark.timeout(120)
@pytest.mark.reliability("R11")
@pytest.mark.feature("X-06")
async def test_a_killed_desk_finishes_its_report_and_does_not_ask_its_model_twice(
    home: Path,
) -> None:
    async with FakeModels([json.dumps(OPINION)]) as models:
        with app("desk", home) as desk:
            desk.environment |= {
                "LOOM_LLM": "custom", "CUSTOM_BASE_URL": models.url, "CUSTOM_MODEL": "m-1",
            }  # fmt: skip
            report = await asyncio.to_thread(kill_after_the_answer, desk)
        assert "# On tides\n" in report
        assert "by the model m-1" in report
        assert len(models.requests) == 1


def kill_after_the_answer(desk: Instance) -> str:
    """Drop a document, kill Loom as soon as the model has been heard; the report in the end."""
    desk.up("--set", "plugins.agents.run=process")
    wait_for(lambda: [a["status"] for a in desk.agents().values()] == ["active"] * 3)
    pid = desk.status()["pid"]
    watching = desk.tail("tool.call.completed")
    (desk.folder / "inbox" / "tides.md").write_text("# Tides\n\nTables of tides are printed.\n")
    while answer(watching)["name"] != "llm:generate":
        continue
    kill(pid)
    desk.up("--set", "plugins.agents.run=process")
    file = desk.folder / "inbox" / "tides.report.md"
    wait_for(file.exists)
    return file.read_text("utf-8")
