"""What a model said is not bought twice: not after a failure, and not in a replay."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest
from loom import Agent, Context, Envelope, LLMProvider
from loom.contracts import Agents, Retry
from loom.replay import replay
from loom.testing.models import Asked, FakeModels
from loom_kernel.testing import running, wait_until

from plugins.models.tests.test_commands import serving
from tests.e2e.instance import Instance, wait_for

AGENT = """
from loom import Agent, Context, Envelope, LLMProvider


async def on_event(ctx: Context, topic: str, event: Envelope) -> None:
    llm = LLMProvider.from_runtime(ctx)
    said = [text async for text in llm.generate_stream(event.data)]
    ctx.state[event.data] = "".join(said)
    await ctx.emit("poem.written", "".join(said))


agent = Agent("poet", ["poem.wanted"], on_event=on_event)
"""


@pytest.mark.anyio
@pytest.mark.reliability("R11")
@pytest.mark.feature("X-06", "SDK-05")
async def test_an_answer_is_not_bought_again_when_the_event_comes_again(tmp_path: Path) -> None:
    said: list[list[str]] = []
    asked: list[str] = []

    def script(question: Asked) -> str:
        asked.append(question.prompt)
        return f"answer {len(asked)}"

    async def handle(ctx: Context, topic: str, event: Envelope) -> None:
        llm = LLMProvider.from_runtime(ctx)
        said.append([await llm.generate(text) for text in ("one", "two", "one")])
        if len(said) == 1:
            raise Retry("not yet", 0.0)
        if len(said) == 2:
            await asyncio.Event().wait()  # until the runtime ends amid it

    async with FakeModels(script) as models:
        config = {
            "llm": {"fast": {"model": "m", "api_base": models.url}},
            "plugins": {"journal": {"topics": ["ask"]}},
            "kernel": {"drain_timeout": 0.1},
        }
        plugins = ("agents", "journal", "models", "tools")
        for handled in (2, 3):
            async with running(*plugins, config=config, state=tmp_path / "state") as runtime:
                agents = runtime.host("office").require(Agents)
                await agents.create(Agent("ada", ["ask"], on_event=handle).definition())
                if handled == 2:
                    await runtime.host("user").publish("ask")
                await wait_until(partial(has, said, handled), 20.0)
    assert said == [["answer 1", "answer 2", "answer 3"]] * 3
    assert asked == ["one", "two", "one"], "the same question twice in one handling is two"


@pytest.mark.feature("X-06")
def test_a_recorded_run_is_replayed_without_a_model(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    plugins = ("agents", "bridge", "journal", "models", "sandbox", "tools")
    with serving(["roses are red", "violets are blue"]) as url:
        config = f'[llm.fast]\nmodel = "m"\napi_base = "{url}"\n'
        config += '[plugins.journal]\ntopics = ["poem.written"]\n'
        with Instance(tmp_path / "app", *plugins, config=config) as app:
            (app.folder / "agents").mkdir()
            (app.folder / "agents/poet.py").write_text(AGENT)
            app.up()
            for number, poem in enumerate(("a line", "another"), 1):
                app.loom("publish", "poem.wanted", json.dumps(poem))
                wait_for(partial(has_written, app, number))
            assert app.loom("record", "-o", str(file)).returncode == 0
    report = replay(file, app.folder)
    assert report.is_same, report.text()
    assert report.states == {"poet": {"a line": "roses are red", "another": "violets are blue"}}


def has(things: list[list[str]], count: int) -> bool:
    return len(things) == count


def has_written(app: Instance, count: int) -> bool:
    events = app.loom("events", "--topic", "poem.written", "--json").stdout
    return len(events.splitlines()) == count
