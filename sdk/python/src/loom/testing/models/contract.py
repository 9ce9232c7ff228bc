"""What every driver of `loom.models` must do, checked on a scripted server over real HTTP.

@pytest.mark.parametrize("check", DRIVER_CHECKS)
async def test_the_driver(check): await check("openai")
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from loom_kernel.testing import wait_until

from loom.contracts import (
    Message,
    ModelDriver,
    ModelError,
    ModelPart,
    ModelReply,
    ModelRequest,
    ModelTool,
    TextDelta,
    ThinkingDelta,
    ToolUse,
)
from loom.models import LLMProvider, read_endpoint
from loom.models.drivers import make_driver
from loom.testing.models.answers import Answer, Call, Script
from loom.testing.models.server import FakeModels

Check = Callable[[str], Awaitable[None]]

KEY = "sk-very-secret"
TOOL = ModelTool("fs:read_file", "Reads a file", {"type": "object"})
ASKED = ModelRequest((Message("system", "Be brief."), Message("user", "Hello")), tools=(TOOL,))
FULL = Answer(
    "The answer is 42.", thinking="Six times seven.", seal="c2VhbA==",
    calls=(Call("fs__read_file", {"path": "notes.txt"}, "c1"), Call("fs__read_file", {}, "c2")),
    tokens=(100, 20), cached=40,
)  # fmt: skip


@asynccontextmanager
async def _driver(
    type: str, script: Script, **more: Any
) -> AsyncIterator[tuple[ModelDriver, FakeModels]]:
    """A driver of *type*, and the server that its endpoint is."""
    async with FakeModels(script) as models:
        table = {"type": type, "model": "m", "api_base": models.url, "api_key": KEY, **more}
        driver = make_driver(read_endpoint("test", table))
        try:
            yield driver, models
        finally:
            await driver.aclose()


async def _parts(driver: ModelDriver, request: ModelRequest = ASKED) -> list[ModelPart]:
    async with driver.stream(request) as parts:
        return [part async for part in parts]


async def _failure(driver: ModelDriver) -> ModelError:
    try:
        got = await _parts(driver)
    except ModelError as error:
        problem = error
    else:
        raise AssertionError(f"there was an answer: {got}")
    assert KEY not in str(problem), "a key is never shown"
    return problem


async def check_thinking_apart(type: str) -> None:
    """What is thought comes apart from what is said, in parts and in one piece."""
    for stream in (True, False):
        async with _driver(type, [FULL], stream=stream) as (driver, models):
            *deltas, reply = await _parts(driver)
            assert models.requests[0].is_stream is stream
        assert isinstance(reply, ModelReply)
        thought = [part.text for part in deltas if isinstance(part, ThinkingDelta)]
        said = [part.text for part in deltas if isinstance(part, TextDelta)]
        assert (len(thought) > 1, len(said) > 1) == (stream, stream)
        assert "".join(thought) == reply.thinking[0].text == "Six times seven."
        assert "".join(said) == reply.content == "The answer is 42."
        assert reply.finish == "tool_calls"
        assert reply.model == "m"
        used = reply.usage
        assert (used.input_tokens, used.output_tokens, used.cached_tokens) == (100, 20, 40)


async def check_calls(type: str) -> None:
    """Calls have the tools' own names; what cannot be read is a problem, not an exception."""
    wrong = ('{"path": ', "[1]", '{"x": NaN}', "[" * 5000)
    for stream in (True, False):
        odd = Answer(calls=tuple(Call("fs__read_file", text) for text in wrong))
        async with _driver(type, [FULL, odd], stream=stream) as (driver, _):
            first, second = await _parts(driver), await _parts(driver)
        calls = _reply(first).calls
        assert calls == (
            ToolUse("c1", "fs:read_file", {"path": "notes.txt"}),
            ToolUse("c2", "fs:read_file"),
        ), calls
        for call, text in zip(_reply(second).calls, wrong, strict=True):
            assert call.problem, call
            assert not call.arguments
            assert call.written == text


async def check_conversation(type: str) -> None:
    """Calls, results and sealed thoughts are given back; the server sees no colon."""
    call = ToolUse("c1", "fs:read_file", {"path": "notes.txt"})
    async with _driver(type, [FULL, "Done."]) as (driver, models):
        reply = _reply(await _parts(driver))
        result = Message("tool", "the content", call_id="c1")
        failed = Message("tool", "no such file", call_id="c2", is_error=True)
        talk = (*ASKED.messages, reply.message, result, failed)
        await _parts(driver, ModelRequest(talk, tools=(TOOL,)))
        sent = str(models.requests[1].body)
    assert reply.calls[0] == call
    for wanted in ("fs__read_file", "notes.txt", "the content", "no such file", "Be brief."):
        assert wanted in sent, f"{wanted!r} is missing in {sent}"
    assert "fs:read_file" not in sent
    sealed = bool(reply.thinking and reply.thinking[0].seal)
    assert ("c2VhbA==" in sent) is sealed


async def check_errors(type: str) -> None:
    """What a status means, and when to come again."""
    expected: list[tuple[Answer, str, bool, float | None]] = [
        (Answer(status=401), "MODEL_UNAUTHORIZED", True, None),
        (Answer(status=429, retry_after="7"), "MODEL_RATE_LIMITED", False, 7.0),
        (Answer("insufficient_quota", status=429), "MODEL_RATE_LIMITED", True, None),
        (Answer(status=400), "MODEL_REFUSED", True, None),
        (Answer(status=500), "MODEL_UNAVAILABLE", False, None),
        (Answer(status=529, retry_after="x"), "MODEL_UNAVAILABLE", False, None),
        (Answer(f"no {KEY}", status=503), "MODEL_UNAVAILABLE", False, None),
        (Answer(status=307, location="http://127.0.0.1:1/v1"), "MODEL_REFUSED", True, None),
    ]
    async with _driver(type, [one for one, *_ in expected]) as (driver, models):
        for answer, code, is_final, pause in expected:
            error = await _failure(driver)
            found = (error.code, error.is_final, error.retry_after)
            assert found == (code, is_final, pause), f"{answer}: {error!r} {found}"
        assert len(models.requests) == len(expected), "the SDK must not try again itself"
    assert (await _failure(driver)).code == "MODEL_UNAVAILABLE", "nobody is there any more"
    await driver.aclose()


async def check_broken_answers(type: str) -> None:
    """An answer that breaks off, or is none, is an error whenever that shows."""
    for stream in (True, False):
        script = [Answer("x" * 100, cut=6), Answer(raw="{nonsense"), Answer(raw='"text"')]
        async with _driver(type, script, stream=stream) as (driver, _):
            codes = [(await _failure(driver)).code for _ in script]
        assert codes[0] in ("MODEL_UNAVAILABLE", "MODEL_INTERRUPTED"), codes
        assert codes[1:] == ["MODEL_MALFORMED"] * 2, codes
    early = [Answer("x" * 100, cut=6, ends_early=True)]
    async with _driver(type, early) as (driver, _):
        assert (await _failure(driver)).code == "MODEL_INTERRUPTED"
    async with _driver(type, [Answer("Hi", role="wizard"), Answer()]) as (driver, _):
        assert _reply(await _parts(driver)).content == "Hi"
        assert _reply(await _parts(driver)).content == ""


async def check_large_answer(type: str) -> None:
    """Ten million characters come through."""
    large = Answer("0123456789" * 1_000_000, piece=1_000_000)
    for stream in (True, False):
        async with _driver(type, [large], stream=stream) as (driver, _):
            assert len(_reply(await _parts(driver)).content) == 10_000_000


async def check_cancelling(type: str) -> None:
    """Leaving, or being cancelled, closes the connection at once."""
    slow: list[Answer | str] = [
        "ready", Answer("x" * 800, pause=30), Answer("x" * 800, delay=30),
        Answer("x" * 8000, pause=0.01),
    ]  # fmt: skip
    async with _driver(type, slow) as (driver, models):
        await _parts(driver)  # loading the SDK takes its time
        for count in (1, 2):
            try:
                async with asyncio.timeout(0.5):
                    await _parts(driver)
            except TimeoutError:
                await wait_until(lambda count=count: models.abandoned == count, 1.0)  # type: ignore[misc]  # mypy cannot see the default
            assert models.open == 0
        async with driver.stream(ASKED) as parts:
            await anext(aiter(parts))
        await wait_until(lambda: models.abandoned == 3 and models.open == 0, 1.0)


async def check_secrets(type: str) -> None:
    """Only the endpoint's own key is sent, and nothing of the environment."""
    strange = {
        "OPENAI_API_KEY": "sk-other", "OPENAI_ORG_ID": "org-other", "ANTHROPIC_API_KEY": "sk-other",
        "ANTHROPIC_AUTH_TOKEN": "other", "ANTHROPIC_CUSTOM_HEADERS": "x-mine: other",
        "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9", "OPENAI_BASE_URL": "http://127.0.0.1:9",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in strange}
    os.environ.update(strange)
    try:
        async with _driver(type, ["Hi"]) as (driver, models):
            await _parts(driver)
            headers = models.requests[0].headers
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    assert KEY in str(headers)
    assert "other" not in str(headers), headers
    assert not [name for name in headers if name.startswith("x-stainless")]


async def check_unknown_usage(type: str) -> None:
    """What an endpoint does not count is estimated, and marked so."""
    async with FakeModels([Answer("Hello there", tokens=None)]) as models:
        table = {"type": type, "model": "m", "api_base": models.url, "output_price": 1e6}
        async with LLMProvider.from_config(None, "x", {"llm": {"x": table}}) as llm:
            await llm.generate("Say hello")
            used = llm.usage
    if type != "anthropic":  # that protocol has no answer without figures
        assert used.is_estimated
        assert used.input_tokens > 2
        assert used.cost == used.output_tokens > 2


def _reply(parts: list[ModelPart]) -> ModelReply:
    reply = parts[-1]
    assert isinstance(reply, ModelReply), parts
    return reply


DRIVER_CHECKS: list[Check] = [
    check_thinking_apart, check_calls, check_conversation, check_errors, check_broken_answers,
    check_large_answer, check_cancelling, check_secrets, check_unknown_usage,
]  # fmt: skip

__all__ = ["DRIVER_CHECKS", "Check"]
