"""Every Python sample of the seeds 000, 001 and 002 runs as it stands, against a Loom that runs.

Around a sample is only what it takes for granted: a Loom, a model server at the address that its
configuration names, and the names that it uses without making them.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from loom import Agent, CognitiveAgent, LLMProvider
from loom.testing.models import Answer, Call, FakeModels
from loom_kernel.testing import EventRecorder, wait_until

from plugins.native.tests.site import Site, answer
from tests.docs import seeds
from tests.e2e.instance import Instance, wait_for

pytestmark = [pytest.mark.anyio, pytest.mark.feature("SDK-01"), pytest.mark.timeout(120)]

PLUGINS = ("agents", "bridge", "native", "sandbox", "tools")
GRANTS = """
[plugins.tools.grants]
assistant = ["web:search", "fs.read"]
my-agent = ["weather:get", "fs.read"]
"""
FOUND = {
    "web": {"results": [{"title": "Up", "url": "https://example.com/", "description": "+2 %"}]}
}
TOKYO = {"results": [{"name": "Tokyo", "country": "Japan", "latitude": 35.7, "longitude": 139.7}]}
WEATHER = {
    "current_units": {"temperature_2m": "°C"},
    "current": {
        "time": "2026-11-26T12:15", "temperature_2m": 12.5, "relative_humidity_2m": 61,
        "apparent_temperature": 11.0, "precipitation": 0.0, "weather_code": 3,
        "wind_speed_10m": 12.2,
    },
}  # fmt: skip
PAGES = {"/res/v1/web/search": FOUND, "/v1/search": TOKYO, "/v1/forecast": WEATHER}
REPORT = "# Bitcoin\n\nIt rose by 2 %.\n"


async def run(sample: str, names: dict[str, Any]) -> None:
    """Run *sample* as `python -m asyncio` would, in *names*."""
    code = compile(sample, "seed", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    done = FunctionType(code, names)()
    if inspect.iscoroutine(done):
        await done


@asynccontextmanager
async def internet() -> AsyncIterator[Site]:
    """The services that the native tools ask."""
    found = {
        path: answer(json.dumps(page), content_type="application/json")
        for path, page in PAGES.items()
    }
    async with Site(found) as site:
        yield site


def settings(site: Site) -> str:
    url = site.url("")
    services = "\n".join(f'{name}_url = "{url}"' for name in ("brave", "weather", "geocoding"))
    return f'{GRANTS}\n[plugins.native]\nweb_addresses = ["127.0.0.1/32"]\n{services}\n'


@asynccontextmanager
async def loom(
    home: Path, site: Site, patch: pytest.MonkeyPatch, config: str = ""
) -> AsyncIterator[Instance]:
    """A Loom that was started with `loom up`, whose folder is the current one."""
    with Instance(home / "app", *PLUGINS, config=settings(site) + config) as instance:
        patch.chdir(instance.folder)
        await asyncio.to_thread(instance.up)
        yield instance
        await asyncio.to_thread(instance.loom, "down")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-test")
    monkeypatch.setenv("BRAVE_API_KEY", "brave-test")


def approve(instance: Instance) -> str:
    """Allow the one call that comes to wait, as its owner; what the owner was shown."""
    wait_for(lambda: "fs:write_file" in instance.loom("approve", "--list").stdout)
    (waiting,) = json.loads(instance.loom("approve", "--list", "--json").stdout)
    shown = instance.loom("approve", "--list").stdout
    done = instance.loom("approve", waiting["capsule"]["id"])
    assert done.returncode == 0, done.stderr
    return shown


async def test_000_the_assistant_saves_its_report_once_a_person_has_allowed_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [
        Answer(calls=(Call("web__search", {"query": "bitcoin price trend"}),)),
        Answer(calls=(Call("fs__write_file", {"path": "report.md", "content": REPORT}),)),
        Answer("The summary is in report.md."),
    ]
    async with (
        internet() as site,
        FakeModels(script) as models,
        loom(home, site, monkeypatch) as instance,
    ):
        monkeypatch.setenv("DEEPSEEK_BASE_URL", models.url)
        monkeypatch.setenv("LOOM_ADDRESS", "unix:")
        names: dict[str, Any] = {}
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            allowing = tasks.create_task(asyncio.to_thread(approve, instance))
            tasks.create_task(run(seeds.ASSISTANT, names))
        await end(names)
        assert "assistant wants to run fs:write_file" in allowing.result()
        assert names["result"].answer == "The summary is in report.md."
        assert (instance.folder / "workspace/report.md").read_text() == REPORT
        assert "+2 %" in str(models.requests[1].body), "the model was told what was found"
        assert {request.key for request in models.requests} == {"sk-test"}
        offered = {tool["function"]["name"] for tool in models.requests[0].body["tools"]}
        assert offered == {"web__search", "fs__read_file", "fs__write_file", "system__shell"}


async def test_001_the_samples_run_one_after_the_other(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [
        Answer(calls=(
            Call("weather__get", {"location": "Tokyo"}),
            Call("fs__read_file", {"path": "data.txt"}),
        )),
        Answer("12.5 degrees, and overcast."),
        Answer("Hello yourself."),
    ]  # fmt: skip
    bridge = '[plugins.bridge]\ntcp = "127.0.0.1:50051"\n'
    async with (
        internet() as site,
        FakeModels(script) as models,
        loom(home, site, monkeypatch, bridge) as instance,
    ):
        (instance.folder / "workspace").mkdir(exist_ok=True)
        (instance.folder / "workspace/data.txt").write_text("some data")
        config = tomllib.loads(seeds.CONFIGURATION)
        config["llm"]["deepseek"]["api_base"] = models.url  # the only address that differs
        names: dict[str, Any] = {"config": config, "project_config": config}
        await run(seeds.CONNECTION, names)
        names |= {"ctx": names["agent"].ctx, "LLMProvider": LLMProvider}
        await run(seeds.LOOP, names)
        assert names["result"].answer == "12.5 degrees, and overcast."
        first, second = (models.requests[number].body for number in (0, 1))
        assert "You are a helpful assistant..." in first["messages"][0]["content"]
        assert {"weather__get", "fs__read_file"} == {t["function"]["name"] for t in first["tools"]}
        assert "overcast" in str(second)
        assert "some data" in str(second)
        await run(seeds.PROVIDER, names)
        assert names["response"] == "Hello yourself."
        asked = models.requests[2].body
        assert (asked["model"], asked["temperature"]) == ("deepseek-chat", 0.7)
        assert [message["content"] for message in asked["messages"]] == ["You are helpful", "Hello"]
        before = len(site.asked)
        await run(seeds.TOOLS, names)
        assert len(site.asked) > before, "the weather was asked for"
        assert names["result"] == {"content": "some data"}
        await run(seeds.CONTEXT, names)
        *_, question, reply = names["context"]
        assert (question.role, question.content) == ("user", "What's the weather?")
        assert (reply.role, reply.content) == ("assistant", "Let me check...")
        await end(names)


@pytest.mark.feature("COL-01", "COL-02")
async def test_002_the_question_is_answered_in_one_process(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    names: dict[str, Any] = {}
    await run(seeds.TEAM, names)
    events = EventRecorder(names["planner"].ctx.host, ">")
    answered = await ask(b"looms?")
    assert answered.data == {"done": True}
    (research,) = events.on("topic.research")
    assert (research.type, research.data) == ("research.request", b"looms?")
    (found,) = [event for event in events.events if event.sender == "researcher" and event.data]
    assert found.data == {"results": {"results": ["https://example.com/doc1"]}}
    assert {research.thread_id, found.thread_id, answered.thread_id} == {answered.thread_id}
    await end(names)


async def test_002_the_question_is_answered_through_a_bridge(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with internet() as site, loom(home, site, monkeypatch) as instance:
        monkeypatch.setenv("LOOM_ADDRESS", "unix:")
        names: dict[str, Any] = {}
        await run(seeds.TEAM, names)
        await wait_until(lambda: len(instance.agents()) == 2)
        assert (await ask(b"looms?")).data == {"done": True}
        await end(names)


async def ask(question: bytes) -> Any:
    """What the team answers to somebody's *question*."""
    asker = Agent("asker")
    await asker.start()
    try:
        return await asker.ctx.request("topic.plan", question, type="user.question")
    finally:
        await asker.stop()


async def end(names: dict[str, Any]) -> None:
    """Let go of what a sample leaves to the end of its program."""
    for found in list(names.values()):
        if isinstance(found, Agent):
            await found.stop()
        elif isinstance(found, LLMProvider):
            await found.aclose()
        elif isinstance(found, CognitiveAgent) and isinstance(found.llm, LLMProvider):
            await found.llm.aclose()
