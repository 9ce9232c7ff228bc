"""The drivers for OpenAI's two protocols, on a real server, beside the SDK's own reading of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from loom import LLMProvider
from loom.contracts import Message, ModelError, ModelRequest, Thinking, ToolUse
from loom.models import read_endpoint
from loom.testing.models import DRIVER_CHECKS, Answer, Call, Check, FakeModels
from loom_plugin_openai.asking import chat_body
from openai import AsyncOpenAI
from openai.lib.streaming.chat import ContentDeltaEvent

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.feature("LA-21", "SDK-05")
@pytest.mark.parametrize("type", ["openai", "responses"])
@pytest.mark.parametrize("check", DRIVER_CHECKS, ids=lambda check: check.__name__)
async def test_the_driver(type: str, check: Check) -> None:
    await check(type)


async def test_the_scripted_server_satisfies_the_official_sdk() -> None:
    answer = Answer("Hello there.", thinking="Hm.", calls=(Call("f", {"a": 1}),))
    async with (
        FakeModels(lambda _: answer) as models,
        AsyncOpenAI(base_url=models.url, api_key="k", max_retries=0) as client,
    ):
        assert [one.id async for one in client.models.list()] == ["fake"]
        said = ""
        async with client.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "Hi"}]
        ) as stream:
            async for event in stream:
                said += event.delta if isinstance(event, ContentDeltaEvent) else ""
            final = (await stream.get_final_completion()).choices[0].message
        assert said == final.content == "Hello there."
        assert final.tool_calls is not None
        assert final.tool_calls[0].function.arguments == '{"a":1}'
        async with client.responses.stream(model="m", input="Hi") as other:
            kinds = [event.type async for event in other]
            response = await other.get_final_response()
        assert response.output_text == "Hello there."
        assert kinds[-1] == "response.completed"


async def test_an_endpoint_that_speaks_less_than_the_whole_is_understood() -> None:
    said = '{"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}'
    calls = '{"choices": [{"delta": {"tool_calls": [{"function": {"name": "f"}}]}}]}'
    script = [Answer(raw=text, cut=1, ends_early=True) for text in (said, calls)]
    whole = '{"choices": [{"delta": {"tool_calls": [{"function": {"name": "f"}}]}, '
    script.append(Answer(raw=whole + '"finish_reason": "stop"}]}', cut=2, ends_early=True))
    script.append(Answer(raw='{"choices": [{"message": {"content": "Ho"}}], "usage": {}}'))
    async with FakeModels(script) as models:
        table = {"model": "m", "api_base": models.url, "retries": 0}
        config = {"llm": {"x": table, "y": {**table, "stream": False}}}
        async with LLMProvider.from_config(None, "x", config) as llm:
            assert await llm.generate("x") == "Hi"
            with pytest.raises(ModelError, match="MODEL_INTERRUPTED"):
                await llm.generate("x")
            reply = await llm.chat([Message("user", "x")])
            assert [call.name for call in reply.calls] == ["f", "f"]
            assert reply.finish == "tool_calls"
        async with LLMProvider.from_config(None, "y", config) as llm:
            assert await llm.generate("x") == "Ho"


@pytest.mark.feature("LA-21")
def test_thoughts_between_calls_go_back_where_there_is_a_place_for_them() -> None:
    thought = Thinking("Look first.")
    called = Message("assistant", calls=(ToolUse("c1", "fs:ls"),), thinking=(thought,))
    asked = ModelRequest((called, Message("assistant", "Done.", thinking=(thought,))))
    here = chat_body(read_endpoint("deepseek", {}), asked)["messages"]
    assert [one.get("reasoning_content") for one in here] == ["Look first.", None]
    assert "Look first." not in str(chat_body(read_endpoint("openai", {}), asked))


def test_openai_itself_is_asked_in_its_own_words() -> None:
    asked = ModelRequest((Message("user", "Hi"),), max_tokens=5)
    assert chat_body(read_endpoint("openai", {}), asked)["max_completion_tokens"] == 5
    assert chat_body(read_endpoint("deepseek", {}), asked)["max_tokens"] == 5


def test_nothing_heavy_is_loaded_before_the_first_question() -> None:
    code = (
        "import sys; from loom import LLMProvider; llm = LLMProvider.from_name(None, 'ollama');"
        "import loom_plugin_openai.chat, loom_plugin_openai.responses;"
        "print([m for m in ('openai', 'httpx2', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
