"""Presets and `[llm.<name>]`: what is taken, what is refused, what stays secret."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom import LLMProvider
from loom.contracts import Message, ModelError, ModelRequest, ModelTool, ToolUse
from loom.models import (
    PRESETS,
    estimate,
    estimate_request,
    read_call,
    read_endpoint,
    status_error,
    tool_name,
    wire_name,
)
from loom.testing.models import Answer, FakeModels
from loom_kernel import ConfigError, current
from loom_kernel.testing import running

ADDRESSES = {
    "deepseek": ("https://api.deepseek.com/v1", "deepseek-chat"),
    "qwen": ("https://dashscope.aliyuncs.com/compatible-mode/v1", "qwen-plus"),
    "zhipu": ("https://open.bigmodel.cn/api/paas/v4", "glm-4-flash"),
    "moonshot": ("https://api.moonshot.cn/v1", "moonshot-v1-8k"),
    "baichuan": ("https://api.baichuan-ai.com/v1", "Baichuan4"),
    "yi": ("https://api.lingyiwanwu.com/v1", "yi-large"),
    "doubao": ("https://ark.cn-beijing.volces.com/api/v3", "doubao-pro-4k"),
    "ollama": ("http://localhost:11434/v1", "llama3"),
    "vllm": ("http://localhost:8000/v1", "qwen2.5-0.5b-instruct"),
    "openai": ("https://api.openai.com/v1", "gpt-4o-mini"),
    "local": ("http://localhost:8000/v1", "qwen2.5-0.5b"),
    "llamacpp": ("http://localhost:8080/v1", "default"),
    "anthropic": ("https://api.anthropic.com", "claude-sonnet-5"),
    "gemini": (
        "https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.0-flash",
    ),
}  # fmt: skip
PLAIN = {"model": "m", "api_base": "https://models.example/v1"}


@pytest.mark.feature("LA-20")
@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_builds(name: str) -> None:
    needed = {key: PLAIN[key] for key in ("model", "api_base") if not PRESETS[name][key]}
    endpoint = read_endpoint(name, needed)
    address, model = ADDRESSES.get(name, (endpoint.api_base, "m"))
    assert (endpoint.api_base, endpoint.model) == (address, model)
    assert endpoint.is_local is ("localhost" in address)
    for key in needed:
        with pytest.raises(ConfigError, match=f"needs '{key}'"):
            read_endpoint(name, {k: v for k, v in needed.items() if k != key})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"modle": "x"}, "unknown key 'modle' in .llm.x.; did you mean 'model'"),
        ({"preset": "depseek"}, "'depseek' is none; did you mean 'deepseek'"),
        ({"retries": -1}, "retries"),
        ({"temperature": 3}, "temperature"),
        ({"timeout_sec": 0}, "timeout_sec"),
        ({"fallback": "other"}, "fallback"),
        ({"api_base": "ftp://h/v1"}, "plain address"),
        ({"api_base": "https://key@h/v1"}, "plain address"),
        ({"api_base": "http://127.0.0.1\\@evil.example/v1"}, "plain address"),
        ({"api_base": "http://localhost@evil.example/v1"}, "plain address"),
        ({"api_base": "https://h/v1?key=1"}, "plain address"),
        ({"api_base": "https://h/v1\nx"}, "plain address"),
        ({"model": ""}, "needs 'model'"),
    ],
)
def test_what_makes_no_sense_is_refused(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_endpoint("x", {**PLAIN, **table})


@pytest.mark.feature("X-02")
@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("127.0.0.1:1", True),
        ("127.9.9.9", True),
        ("[::1]:8000", True),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.1", False),
        ("10.0.0.1", False),
        ("0.0.0.1", False),
        ("[::ffff:10.0.0.1]", False),
    ],
)
def test_only_loopback_is_this_machine(host: str, is_local: bool) -> None:
    try:
        endpoint = read_endpoint("x", {**PLAIN, "api_base": f"http://{host}/v1"})
    except ConfigError:
        assert not is_local
        return
    assert endpoint.is_local is is_local


def test_a_key_comes_from_where_it_is_said_and_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-from-environment")
    for table in ({"api_key": "${MY_KEY}"}, {"api_key": "$MY_KEY"}, {"api_key_env": "MY_KEY"}):
        endpoint = read_endpoint("x", {**PLAIN, **table})
        assert endpoint.key() == "sk-from-environment"
        assert "environment" not in f"{endpoint!r} {endpoint.record()!r}"
        error = status_error(endpoint, 401, "bad key sk-from-environment", {})
        assert "environment" not in str(error)
    monkeypatch.delenv("MY_KEY")
    for table in ({"api_key": "${MY_KEY}"}, {"api_key_env": "MY_KEY"}):
        with pytest.raises(ModelError, match="set MY_KEY"):
            read_endpoint("x", {**PLAIN, **table}).key()
    with pytest.raises(ModelError, match="letters that no key has") as odd:
        read_endpoint("x", {**PLAIN, "api_key": "sk-1\r\nx-evil: 1"}).key()
    assert "evil" not in str(odd.value)
    assert read_endpoint("x", PLAIN).key() == ""


def test_a_preset_gives_its_key_to_its_own_address_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
    assert read_endpoint("openai", {}).key() == "sk-theirs"
    elsewhere = read_endpoint("openai", {"api_base": "https://elsewhere.example/v1"})
    assert elsewhere.key() == ""
    assert read_endpoint("openai", {"model": "other"}).context_window == 0
    mine = read_endpoint("mine", {"preset": "openai", "max_tokens": 7})
    assert (mine.name, mine.model, mine.max_tokens) == ("mine", "gpt-4o-mini", 7)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e99"}, None),
        ({"retry-after": "soon"}, None),
        (
            {
                "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
                "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30.0,
        ),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
    ],
)
def test_when_to_come_again(headers: dict[str, str], seconds: float | None) -> None:
    endpoint = read_endpoint("x", PLAIN)
    assert status_error(endpoint, 429, "", headers).retry_after == seconds


# -- names and calls -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("fs:read_file", "fs__read_file"),
        ("tools:search", "tools__search"),
        ("plain", "plain"),
        ("mcp:git:git_log", "mcp__git__git_log"),
        ("my-server:x.y", "my-server__x-_2e_-y"),
    ],
)
def test_names_on_wires(name: str, wire: str) -> None:
    assert wire_name(name) == wire
    assert tool_name(wire) == name


@given(st.text(alphabet="ab_:-.5fé", max_size=9))
def test_every_name_comes_back(name: str) -> None:
    wire = wire_name(name)
    assert all(one.isascii() and (one.isalnum() or one in "_-") for one in wire)
    assert len(wire) == 64 or tool_name(wire) == name


def test_a_long_name_is_known_by_what_was_offered() -> None:
    name = "server:" + "x" * 100
    wire = wire_name(name)
    assert len(wire) == 64
    assert wire != wire_name(name + "y")
    assert read_call("1", wire, "{}", {wire: name}) == ToolUse("1", name)


@given(st.text(max_size=40))
def test_whatever_a_model_writes_is_a_call(written: str) -> None:
    call = read_call("1", "fs__read_file", written, {})
    assert call.name == "fs:read_file"
    assert call.problem or isinstance(call.arguments, dict)


# -- tokens ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens"),  # as cl100k_base and o200k_base count them, the larger of both
    [
        ("Hello, world!", 4),
        ("The quick brown fox jumps over the lazy dog.", 10),
        ("def f(x):\n    return x + 1\n", 11),
        ("3.14159265358979", 7),
        ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 35),
        ("Съешь же ещё этих мягких французских булок", 28),
        ("重要な会議は木曜日です", 12),
        ("xkqzvwpjrtnmbd lsdkfj qpwoxz", 17),
        ('{"id": 17, "ok": true}', 11),
        ("a\n\n\n\n    b\t\t\tc", 6),
        ("😀🎉", 5),
        ("VGhlIHF1aWNrIGJyb3duIGZveA==", 18),
        ("", 0),
    ],
)
def test_an_estimate_is_rather_too_high(text: str, tokens: int) -> None:
    assert tokens <= estimate(text) <= 2.5 * tokens


def test_all_that_is_sent_is_counted() -> None:
    said = ModelRequest((Message("user", "Hello"),))
    call = Message("assistant", calls=(ToolUse("1", "fs:read_file", {"path": "x" * 300}),))
    tool = ModelTool("fs:read_file", "Reads a file " * 20, {"type": "object"})
    with_call = ModelRequest((*said.messages, call))
    with_tool = ModelRequest(said.messages, tools=(tool,))
    assert estimate_request(said) > 5
    assert estimate_request(with_call) > estimate_request(said) + 100
    assert estimate_request(with_tool) > estimate_request(said) + 60


@pytest.mark.anyio
async def test_what_an_endpoint_counts_more_is_counted_more() -> None:
    async with FakeModels([Answer("Hi", tokens=(500, 1))]) as models:
        config = {"llm": {"x": {"model": "m", "api_base": models.url}}}
        async with LLMProvider.from_config(None, "x", config) as llm:
            before = llm.count_tokens("a question of some words")
            await llm.generate("a question of some words")
            assert llm.count_tokens("a question of some words") == 4 * before, "at most four times"


@pytest.mark.feature("X-02")
def test_labels_of_what_is_handled_bind_a_provider_of_ones_own() -> None:
    config = {"llm": {"x": {"model": "m", "api_base": "http://models.invalid/v1"}}}

    async def main() -> None:
        async with running() as runtime, LLMProvider.from_config(None, "x", config) as llm:
            with runtime.host("ada").subscribe("job") as jobs:
                await runtime.host("user").publish("job", labels=["local-only"])
                current.set(await jobs.receive())
                with pytest.raises(ModelError, match="local-only must not leave") as refused:
                    await llm.generate("Secret")
                assert refused.value.code == "MODEL_REFUSED"

    asyncio.run(main())
