"""The driver for Anthropic's protocol, on a real server, beside the SDK's own reading of it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from anthropic import AsyncAnthropic
from loom.contracts import Message, ModelReply, ModelRequest, Thinking
from loom.models import read_endpoint
from loom.testing.models import DRIVER_CHECKS, Answer, Call, Check, FakeModels
from loom_plugin_anthropic.asking import messages_body
from loom_plugin_anthropic.messages import MessagesDriver

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.feature("LA-21", "SDK-05")
@pytest.mark.parametrize("check", DRIVER_CHECKS, ids=lambda check: check.__name__)
async def test_the_driver(check: Check) -> None:
    await check("anthropic")


async def test_the_scripted_server_satisfies_the_official_sdk() -> None:
    answer = Answer("Hello there.", thinking="Hm.", seal="s", calls=(Call("f", {"a": 1}),))
    async with FakeModels(lambda _: answer) as models:
        base = models.url.removesuffix("/v1")
        async with AsyncAnthropic(base_url=base, api_key="k", max_retries=0) as client:
            async with client.messages.stream(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
            ) as stream:
                said = "".join([text async for text in stream.text_stream])
                final = await stream.get_final_message()
            assert said == "Hello there."
            assert final.stop_reason == "tool_use"
            assert [block.type for block in final.content] == ["thinking", "text", "tool_use"]


@pytest.mark.feature("LA-21")
async def test_thoughts_go_back_under_their_seal_and_never_without_one() -> None:
    sealed, loose = Thinking("Hm.", "s1"), Thinking("Not sealed.")
    hidden = Thinking("", "redacted c1pher")
    talk = (
        Message("user", "Hi"),
        Message("assistant", "Yes.", thinking=(sealed, loose, hidden)),
        Message("user", "Go on"),
    )
    async with FakeModels(["Done."]) as models:
        table = {"type": "anthropic", "model": "m", "api_base": models.url}
        driver = MessagesDriver(read_endpoint("x", table))
        async with driver.stream(ModelRequest(talk)) as parts:
            (*_, reply) = [part async for part in parts]
        await driver.aclose()
        assert isinstance(reply, ModelReply)
        assert models.requests[0].body["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "Hm.", "signature": "s1"},
            {"type": "redacted_thinking", "data": "c1pher"},
            {"type": "text", "text": "Yes."},
        ]


def test_only_the_owner_can_set_a_temperature() -> None:
    table = {"type": "anthropic", "model": "m", "api_base": "http://localhost"}
    asked = ModelRequest((Message("user", "Hi"),), temperature=0.5)
    assert "0.5" not in str(messages_body(read_endpoint("x", table), asked))
    options = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    more = {**table, "temperature": 0.2, "options": options}
    assert messages_body(read_endpoint("x", more), asked)["extra_body"] == {
        "temperature": 0.2,
        **options,
    }


def test_nothing_heavy_is_loaded_before_the_first_question() -> None:
    code = (
        "import sys; import loom_plugin_anthropic.messages;"
        "print([m for m in ('anthropic', 'httpx2', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
