"""Agents obtain text through the runtime: in its process, through the bridge, and as it comes."""

from __future__ import annotations

import pytest
from loom import Agent, Context, Envelope, LLMProvider, ToolError
from loom.contracts import (
    Agents,
    Bridge,
    Message,
    ModelError,
    ModelReply,
    ModelRequest,
    ModelTool,
    TextDelta,
    ThinkingDelta,
    ToolUse,
)
from loom.hosting import joined
from loom.testing.models import Answer, Call
from loom_kernel.testing import wait_until

from plugins.models.tests.conftest import housed, thinker

pytestmark = pytest.mark.anyio

TOOL = ModelTool("fs:read_file", "Reads a file", {"type": "object"})


@pytest.mark.feature("NAT-05")
async def test_any_agent_obtains_text_through_the_runtime() -> None:
    async with housed(thinker) as house:
        reply = await house.generate(prompt="Hello", system="Be brief", temperature=0.1)
        assert reply["content"] == "You said: Hello"
        assert reply["usage"]["output_tokens"] == 7
        sent = house.models.requests[0].body
        assert [one["role"] for one in sent["messages"]] == ["system", "user"]
        assert sent["temperature"] == 0.1
        (told,) = house.events.on("llm.call.completed")
        assert told.data["gen_ai.usage.input_tokens"] == 30
        assert told.data["gen_ai.request.model"] == "m"
        assert told.data["gen_ai.agent.id"] == "ada"
        assert told.data["gen_ai.response.finish_reasons"] == ["stop"]
        assert "Hello" not in str(told.data), "what was said is not told"
        assert not house.events.on("tool.call.progressed"), "nobody asked for it"
        assert house.runtime.health()["models"].metrics["tokens"] == 37


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "INVALID_PARAMS"),
        ({"prompt": "x", "modle": "y"}, "INVALID_PARAMS"),
        ({"messages": [{"role": "wizard"}]}, "INVALID_PARAMS"),
        ({"messages": [{"role": "user", "content": "x", "calls": [{}]}]}, "INVALID_PARAMS"),
        ({"prompt": "x", "model": "nonesuch"}, "PERMISSION_DENIED"),
    ],
)
async def test_what_makes_no_sense_is_refused(arguments: dict[str, object], code: str) -> None:
    async with housed(thinker) as house:
        with pytest.raises(ToolError) as refused:
            await house.generate(**arguments)
        assert refused.value.code == code
        assert not house.models.requests


@pytest.mark.parametrize(
    ("status", "code", "model_code"),
    [
        (401, "PROVIDER_UNAVAILABLE", "MODEL_UNAUTHORIZED"),
        (500, "PROVIDER_UNAVAILABLE", "MODEL_UNAVAILABLE"),
        (400, "PERMISSION_DENIED", "MODEL_REFUSED"),
    ],
)
async def test_a_failure_is_typed_told_and_counted(status: int, code: str, model_code: str) -> None:
    async with housed(lambda _: Answer(status=status), retries=1) as house:
        with pytest.raises(ToolError) as failed:
            await house.generate(prompt="Hello")
        assert failed.value.code == code
        assert failed.value.details["code"] == model_code
        llm = LLMProvider.from_runtime(house.agent)
        with pytest.raises(ModelError) as same:
            await llm.generate("Hello")
        assert (same.value.code, same.value.endpoint) == (model_code, "fast")
        told = house.events.on("llm.call.failed")
        assert [one.data["error.type"] for one in told] == [model_code] * 2
        assert house.runtime.health()["models"].metrics["failures"] == 2


async def check_provider(llm: LLMProvider) -> None:
    asked = ModelRequest((Message("user", "Hello, dear model"),))
    async with llm.stream(asked) as parts:
        got = [part async for part in parts]
    assert sum(isinstance(part, TextDelta) for part in got) > 1, "it comes as it is said"
    said = "".join(part.text for part in got if isinstance(part, TextDelta))
    thought = "".join(part.text for part in got if isinstance(part, ThinkingDelta))
    reply = got[-1]
    assert isinstance(reply, ModelReply)
    assert said == reply.content == "You said: Hello, dear model"
    assert thought == reply.thinking[0].text == "Let me repeat."
    assert (llm.name, llm.context_window, llm.is_local) == ("fast", 4096, True)
    assert await llm.generate("Bye") == "You said: Bye"
    assert "".join([text async for text in llm.generate_stream("Go")]) == "You said: Go"
    assert llm.usage.output_tokens == 21


@pytest.mark.feature("NAT-05", "SDK-04", "LA-21")
async def test_a_provider_asks_the_runtime_and_streams() -> None:
    async with housed(thinker, context_window=4096) as house:
        await check_provider(LLMProvider.from_runtime(house.agent))
        assert len(house.events.on("llm.call.completed")) == 3
        assert len(house.events.on("tool.call.completed")) == 3, "it went the one path"


@pytest.mark.feature("NAT-05", "SDK-04")
async def test_an_agent_behind_the_bridge_asks_without_a_key() -> None:
    done: list[str] = []

    async def handle(ctx: Context, topic: str, event: Envelope) -> None:
        await check_provider(LLMProvider.from_runtime(ctx))
        done.append(ctx.agent_id)

    async with housed(
        thinker, "agents", "bridge", context_window=4096, api_key="sk-secret-key"
    ) as house:
        ticket = house.runtime.host("office").require(Bridge).issue("writer")
        writer = Agent("writer", ["write"], on_event=handle).definition()
        async with joined(writer, ticket.address, ticket.token):
            await house.runtime.host("user").publish("write")
            await wait_until(lambda: bool(done), 10.0)
        assert house.models.requests[0].key == "sk-secret-key"
        told = [event.data for event in house.events.events]
        assert "sk-secret-key" not in str(told)


async def test_a_conversation_with_tools_goes_both_ways() -> None:
    script = [Answer(calls=(Call("fs__read_file", {"path": "x"}, "c1"),)), "It says hi."]
    async with housed(script) as house:
        llm = LLMProvider.from_runtime(house.agent, "fast")
        first = await llm.chat([{"role": "user", "content": "Read x"}], tools=[TOOL])
        assert first.calls == (ToolUse("c1", "fs:read_file", {"path": "x"}),)
        result = Message("tool", "hi", call_id="c1")
        last = await llm.chat([Message("user", "Read x"), first.message, result], tools=[TOOL])
        assert last.content == "It says hi."
        sent = house.models.requests[1].body["messages"]
        assert [one["role"] for one in sent] == ["user", "assistant", "tool"]


async def test_cancelling_the_caller_closes_the_connection() -> None:
    async with housed(lambda _: Answer("x" * 8000, pause=0.02)) as house:
        llm = LLMProvider.from_runtime(house.agent)
        async with llm.stream(ModelRequest((Message("user", "Hello"),))) as parts:
            assert isinstance(await anext(aiter(parts)), TextDelta)
        await wait_until(lambda: house.models.abandoned == 1, 1.0)
        assert house.models.open == 0


async def test_without_models_the_provider_says_what_to_do() -> None:
    async with housed(thinker) as house:
        with pytest.raises(ModelError, match="loom models list"):
            await LLMProvider.from_runtime(house.agent, "nonesuch").generate("Hello")


@pytest.mark.feature("NAT-05")
async def test_a_local_agent_asks_like_any_other() -> None:
    said: list[str] = []

    async def handle(ctx: Context, topic: str, event: Envelope) -> None:
        said.append(await LLMProvider.from_runtime(ctx).generate(str(event.data)))

    async with housed(thinker, "agents") as house:
        agents = house.runtime.host("office").require(Agents)
        await agents.create(Agent("poet", ["poem"], on_event=handle).definition())
        await house.runtime.host("user").publish("poem", "a line")
        await wait_until(lambda: said == ["You said: a line"])
        await agents.delete("poet")


async def test_only_the_owner_asks_past_the_tool() -> None:
    async with housed(thinker) as house:
        asked = {"name": "fast", "prompt": "Hello"}
        answer = await house.agent.host.request("llm.ask", asked)
        assert answer.data == {"error": "only the owner may ask so"}
        answer = await house.runtime.host("cli").request("llm.ask", asked)
        assert answer.data["reply"]["content"] == "You said: Hello"
        assert len(house.models.requests) == 1


async def test_a_listener_that_sleeps_holds_nobody_up_and_hears_all_in_the_end() -> None:
    text = "0123456789" * 500
    async with housed([Answer(text, piece=1), "second"]) as house:
        llm = LLMProvider.from_runtime(house.agent)
        async with llm.stream(ModelRequest((Message("user", "Count"),))) as parts:
            first = await anext(aiter(parts))
            await wait_until(lambda: house.events.on("tool.call.completed"), 30.0)
            assert await LLMProvider.from_runtime(house.agent).generate("x") == "second"
            rest = [part async for part in parts]
        said = [part.text for part in (first, *rest) if isinstance(part, TextDelta)]
        assert "".join(said) == text
