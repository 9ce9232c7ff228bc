"""What makes vectors of text: without a model, by a server, and what happens without either."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from loom.contracts import EmbedderUnavailable
from loom_kernel import ConfigError, LoomError
from loom_kernel.testing import wait_until
from loom_plugin_memory.embedders.hashing import HashingEmbedder, vector_of
from loom_plugin_memory.embedders.local import LocalEmbedder
from loom_plugin_memory.embedders.openai import OpenAIEmbedder

from plugins.memory.tests.conftest import Start, memory_of
from plugins.memory.tests.provider import LETTERS, Provider, letters, serving

FLOOR = HashingEmbedder.floor
HELLO = [0.0, -0.199, 0.0, -0.199, 0.0, -0.199]
"""How the vector of 64 numbers begins."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving() as found:
        yield found


def options(provider: Provider, **more: Any) -> dict[str, Any]:
    return {"url": provider.url, "model": "letters", "dimension": len(LETTERS), **more}


def likeness(one: str, other: str) -> float:
    pairs = zip(numbers(vector_of(one, 512)), numbers(vector_of(other, 512)), strict=True)
    return sum(a * b for a, b in pairs)


def numbers(vector: bytes) -> list[float]:
    return array("f", vector).tolist()


@pytest.mark.feature("STO-02")
@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("The user prefers invoices in PDF format", "preferred invoicing format"),
        ("Deployment failed because the disk was full", "why do deployments fail"),
        ("Anna moved the meeting to Thursday", "when is my meeting with Anna"),
        ("Die Rechnungen werden als PDF verschickt", "Rechnung verschicken"),
        ("重要な会議は木曜日です", "会議は木曜日"),
    ],
)
def test_a_paraphrase_that_shares_stems_is_near(said: str, asked: str) -> None:
    strangers = ["the cat sat on the mat", "quarterly revenue grew by a tenth", "rain in Lisbon"]
    assert likeness(said, asked) > FLOOR
    assert likeness(said, asked) > 1.5 * max(likeness(stranger, asked) for stranger in strangers)


def test_texts_of_other_words_are_below_the_floor() -> None:
    texts = ["cat mat sat", "quarterly revenue growth", "Lisbon weather", "printer jam", "Ωμέγα"]
    pairs = [(a, b) for a in texts for b in texts if a < b]
    assert max(likeness(a, b) for a, b in pairs) < FLOOR


def test_vectors_are_the_same_on_every_machine() -> None:
    vector = numbers(vector_of("Hello world", 64))
    assert sum(number * number for number in vector) == pytest.approx(1)
    assert [round(number, 3) for number in vector[:6]] == HELLO
    assert numbers(vector_of("", 64)) == [0.0] * 64


@pytest.mark.anyio
async def test_a_server_is_asked_in_batches(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LETTERS_KEY", "k-123")
    embedder = OpenAIEmbedder(options(provider, batch=2, key="env:LETTERS_KEY"))
    vectors = await embedder.embed(["abc", "zz", "", "x" * 9000, "e"])
    assert [numbers(vector) for vector in vectors[:2]] == [letters("abc"), letters("zz")]
    assert [len(asked["input"]) for asked in provider.requests] == [2, 2, 1]
    assert {asked["path"] for asked in provider.requests} == {"/v1/embeddings"}
    assert max(len(text) for asked in provider.requests for text in asked["input"]) == 8000
    assert set(provider.keys) == {"Bearer k-123"}
    await embedder.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, None, "status 500"),
        (401, None, "status 401"),
        (302, None, "status 302"),
        (200, b"{", "its answer is none"),
        (200, b'{"data": []}', "0 vectors for 1 texts"),
        (200, b'{"data": [{"index": 0, "embedding": [1.0]}]}', "have 1 numbers, dimension is 26"),
        (200, b'{"data": [{"index": 1, "embedding": [1.0]}]}', "1 vectors for 1 texts"),
    ],
)
async def test_a_server_that_fails_is_unavailable(
    provider: Provider, status: int, body: bytes | None, said: str
) -> None:
    provider.status, provider.body = status, body
    embedder = OpenAIEmbedder(options(provider))
    with pytest.raises(EmbedderUnavailable, match=said):
        await embedder.embed(["abc"])
    await embedder.aclose()


@pytest.mark.anyio
async def test_a_server_that_says_nothing_is_not_waited_for(provider: Provider) -> None:
    provider.go_on.clear()
    embedder = OpenAIEmbedder(options(provider, timeout=0.2))
    with pytest.raises(EmbedderUnavailable, match="Timeout"):
        await embedder.embed(["abc"])
    await embedder.aclose()


@pytest.mark.anyio
async def test_a_key_is_named_and_never_shown(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LETTERS_KEY", raising=False)
    embedder = OpenAIEmbedder(options(provider, key="env:LETTERS_KEY"))
    with pytest.raises(EmbedderUnavailable, match="set LETTERS_KEY"):
        await embedder.embed(["abc"])
    with pytest.raises(ConfigError, match="never a key") as refused:
        OpenAIEmbedder(options(provider, key="sk-secret"))
    assert "sk-secret" not in str(refused.value)
    assert provider.requests == []


@pytest.mark.parametrize(
    ("driver", "wrong", "said"),
    [
        (HashingEmbedder, {"model": "x"}, "no option 'model'"),
        (HashingEmbedder, {"dimension": 8}, "64 to 8192"),
        (OpenAIEmbedder, {}, "url"),
        (OpenAIEmbedder, {"url": "file:///x", "model": "m", "dimension": 3}, "http"),
        (LocalEmbedder, {"model": "/nowhere"}, "folder of a model"),
        (LocalEmbedder, {"size": 3}, "no option 'size'"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    driver: Any, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        driver(wrong)


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    assert find_spec("sentence_transformers") is None, "no test of ours needs it"
    with pytest.raises(LoomError, match="needs the package sentence-transformers"):
        LocalEmbedder({"model": str(tmp_path)})


@pytest.mark.anyio
@pytest.mark.feature("STO-02")
async def test_another_embedder_makes_all_vectors_anew(life: Start, provider: Provider) -> None:
    async with life() as runtime:
        memory = memory_of(runtime, "ada")
        for text in ("abcabc", "xyz", "abd"):
            await memory.append_event(text)
        await wait_until(lambda: runtime.health()["memory"].metrics["vectors_made"] == 3)
    server = {"embedder": "openai", "embedding": options(provider)}
    async with life(config={"plugins": {"memory": server}}) as runtime:
        await wait_until(lambda: runtime.health()["memory"].metrics["vectors_made"] == 3)
        found = await memory_of(runtime, "ada").retrieve("cba")  # no word of it was said
        assert [item.text for item in found] == ["abcabc", "abd"]
    asked = len(provider.requests)
    async with life(config={"plugins": {"memory": server}}) as runtime:
        await memory_of(runtime, "ada").retrieve("zyx")
    assert len(provider.requests) == asked + 1, "what was made is kept"


@pytest.mark.anyio
async def test_without_its_server_words_find_what_was_said(life: Start, provider: Provider) -> None:
    provider.status = 503
    server = {"embedder": "openai", "embedding": options(provider)}
    async with life(config={"plugins": {"memory": server}}) as runtime:
        memory = memory_of(runtime, "ada")
        await memory.append_event("the rain fell")
        assert [item.text for item in await memory.retrieve("rain")] == ["the rain fell"]
        health = runtime.health()["memory"]
        assert not health.healthy
        assert "status 503" in health.message
        provider.status = 200
        await wait_until(lambda: runtime.health()["memory"].healthy)
        assert [item.text for item in await memory.retrieve("llef")] == ["the rain fell"]


@pytest.mark.anyio
async def test_a_driver_that_is_not_there_is_named(life: Start) -> None:
    for setting in ("embedder", "vectors"):
        config = {"plugins": {"memory": {setting: "nonesuch"}}}
        async with life(config=config, strict=False) as runtime:
            assert "nonesuch" in runtime.quarantined["memory"].reason
