"""`LLMProvider`: every way to make one, and what each of its calls gives, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from loom import Context, LLMProvider
from loom.contracts import (
    Message,
    ModelError,
    ModelReply,
    ModelRequest,
    ModelTool,
    TextDelta,
    ToolDescriptor,
    ToolUse,
    Usage,
)
from loom.models import PRESETS, prompted
from loom.testing.models import Answer, Call, FakeModels
from loom_kernel import ConfigError
from loom_kernel.testing import running

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def asking(script: Any, **more: Any) -> AsyncIterator[tuple[LLMProvider, FakeModels]]:
    """A provider of an endpoint with *script*; *more* are settings of it."""
    async with FakeModels(script) as models, provider(models, **more) as llm:
        yield llm, models


def provider(models: FakeModels, **more: Any) -> LLMProvider:
    return LLMProvider.from_config(None, "fast", tables(models, **more))


def tables(models: FakeModels, **more: Any) -> dict[str, Any]:
    return {"llm": {"fast": {"model": "m", "api_base": models.url, **more}}}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, preset in PRESETS.items():
        for variable in (
            preset["api_key_env"],
            f"{name.upper()}_BASE_URL",
            f"{name.upper()}_MODEL",
        ):
            if variable:
                monkeypatch.delenv(variable, raising=False)


@pytest.mark.feature("SDK-04")
async def test_from_env(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeModels() as models:
        monkeypatch.setenv("DEEPSEEK_API_KEY", "k-deep")
        monkeypatch.setenv("DEEPSEEK_BASE_URL", models.url)
        monkeypatch.setenv("DEEPSEEK_MODEL", "m2")
        for name in ("", "deepseek"):
            async with LLMProvider.from_env(name) as llm:
                assert llm.name == "deepseek"
                assert await llm.generate("Hello") == "You said: Hello"
        assert {(one.key, one.body["model"]) for one in models.requests} == {("k-deep", "m2")}
        monkeypatch.setenv("LOOM_LLM", "vllm")
        monkeypatch.setenv("VLLM_BASE_URL", models.url)
        async with LLMProvider.from_env() as llm:
            assert llm.name == "vllm"
            assert await llm.generate("Hello") == "You said: Hello"


@pytest.mark.feature("SDK-04")
async def test_from_env_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="set LOOM_LLM to a preset, or one of DEEPSEEK_API_KEY"):
        LLMProvider.from_env()
    monkeypatch.setenv("LOOM_LLM", "deepsek")
    with pytest.raises(ConfigError, match="no preset 'deepsek'"):
        LLMProvider.from_env()
    async with LLMProvider.from_env("openai") as llm:
        with pytest.raises(ModelError, match="set OPENAI_API_KEY") as missing:
            await llm.generate("Hello")
        assert missing.value.code == "MODEL_UNAUTHORIZED"


@pytest.mark.feature("SDK-04")
async def test_from_name_and_from_config() -> None:
    llm = LLMProvider.from_name(None, "ollama")
    assert (llm.name, llm.is_local) == ("ollama", True)
    with pytest.raises(ConfigError, match="no preset 'nonesuch'"):
        LLMProvider.from_name(None, "nonesuch")
    async with FakeModels() as models:
        config = tables(models, context_window=8000)
        for given in (
            config,
            SimpleNamespace(tables=config),
            SimpleNamespace(llm=config["llm"]),
        ):
            async with LLMProvider.from_config(None, "fast", given) as llm:
                assert (llm.name, llm.context_window) == ("fast", 8000)
                assert await llm.generate("Hi", "Be brief") == "You said: Hi"
        with pytest.raises(ConfigError, match=r"no \[llm.slow\]; there are: fast"):
            LLMProvider.from_config(None, "slow", config)
        with pytest.raises(ConfigError, match="has no table"):
            LLMProvider.from_config(None, "slow", {})


@pytest.mark.feature("SDK-04")
async def test_in_a_runtime_it_uses_the_runtimes_clock() -> None:
    async with FakeModels() as models, running("tools") as runtime:
        ctx = Context(runtime.host("ada"), "ada")
        async with LLMProvider.from_config(ctx, "fast", tables(models)) as llm:
            assert await llm.generate("Hello") == "You said: Hello"


@pytest.mark.feature("SDK-04")
async def test_generate_stream_gives_the_text_as_it_comes() -> None:
    answer = Answer("one two three four", thinking="Counting.", piece=4)
    async with asking([answer]) as (llm, models):
        got = [text async for text in llm.generate_stream("Count")]
        assert len(got) == 5
        assert "".join(got) == "one two three four"
        assert models.requests[0].is_stream


@pytest.mark.feature("SDK-04")
async def test_chat_takes_mappings_messages_and_descriptors() -> None:
    answers = [Answer(calls=(Call("fs__read_file", {"path": "x"}, "c1"),)), "Fine."]
    schema = {"type": "object"}
    async with asking(answers) as (llm, models):
        reply = await llm.chat(
            [{"role": "system", "content": "S"}, Message("user", "U")],
            tools=[
                ToolDescriptor("fs:read_file", "Reads", schema),
                ModelTool("web:fetch", "Fetches", schema),
                {"name": "x", "description": "X", "parameters": schema},
            ],
            temperature=0.1,
            max_tokens=5,
            tool_choice="required",
        )
        assert reply.calls == (ToolUse("c1", "fs:read_file", {"path": "x"}),)
        body = models.requests[0].body
        names = [tool["function"]["name"] for tool in body["tools"]]
        assert names == ["fs__read_file", "web__fetch", "x"]
        assert (body["temperature"], body["max_tokens"]) == (0.1, 5)
        assert body["tool_choice"] == "required"
        with pytest.raises(ModelError, match=r"messages\[1\]: .*role"):
            await llm.chat([Message("user", "U"), {"content": "no role"}])
        assert len(models.requests) == 1


@pytest.mark.feature("SDK-05")
async def test_usage_and_cost_add_up() -> None:
    answers = [Answer("a", tokens=(1000, 200), cached=400), Answer("b", tokens=(2000, 100))]
    prices = {"input_price": 2.0, "cached_price": 0.5, "output_price": 10.0}
    async with asking(answers, **prices) as (llm, _):
        first = await llm.ask(ModelRequest(prompted("x", None)))
        assert first.usage.cost == pytest.approx((600 * 2 + 400 * 0.5 + 200 * 10) / 1e6)
        await llm.generate("y")
        assert llm.usage == Usage(3000, 300, 400, cost=llm.usage.cost)
        assert llm.usage.cost == pytest.approx(0.0084)


async def test_a_schema_is_handed_on_in_each_protocol() -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    for type in ("http", "responses", "anthropic"):
        async with asking(['{"ok": true}'], type=type) as (llm, models):
            assert await llm.generate("x", schema=schema) == '{"ok": true}'
            assert '"ok":' in str(models.requests[0].body).replace("'", '"')


@pytest.mark.feature("X-02")
async def test_a_redirect_is_not_followed_anywhere() -> None:
    async with FakeModels() as elsewhere:
        answer = Answer(status=307, location=f"{elsewhere.url}/chat/completions")
        async with asking([answer]) as (llm, _):
            with pytest.raises(ModelError, match="status 307"):
                await llm.generate("Secret")
        assert not elsewhere.requests


def test_nothing_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"llm": {"x": {"model": "m", "api_base": "http://h/v1", "api_key": "sk-secret"}}}
    assert "sk-secret" not in repr(LLMProvider.from_config(None, "x", config))


async def test_the_end_of_a_stream_is_the_reply() -> None:
    async with asking(["Hello"]) as (llm, _):
        async with llm.stream(ModelRequest(prompted("x", None))) as parts:
            got = [part async for part in parts]
        assert isinstance(got[0], TextDelta)
        assert isinstance(got[-1], ModelReply)
        assert got[-1].endpoint == "fast"
