"""The memory with FAISS as its index."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from loom import Context
from loom.memory import Memory
from loom_kernel import Runtime
from loom_kernel.testing import running


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def memory_of(runtime: Runtime) -> Memory:
    return Context(runtime.host("ada"), "ada").memory


@pytest.mark.anyio
@pytest.mark.feature("STO-02")
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
async def test_a_paraphrase_finds_the_memory(tmp_path: Path, kind: str) -> None:
    settings: dict[str, Any] = {"vectors": "faiss", "index": {"kind": kind}}
    config = {"plugins": {"memory": settings}}
    life = partial(running, "memory", config=config, state=tmp_path / "state")
    async with life() as runtime:
        memory = memory_of(runtime)
        await memory.append_event("the sun rose over the hill")
        assert await memory.retrieve("Kundenrechnung") == []
        await memory.append_event("Rechnungsversand an Kunden")
        (found,) = await memory.retrieve("Kundenrechnung")
        assert found.text == "Rechnungsversand an Kunden"
    assert (tmp_path / "state/plugins/memory/faiss/vectors.faiss").is_file()
    async with life() as runtime:
        memory = memory_of(runtime)
        assert len(await memory.retrieve("Kundenrechnung")) == 1
        await memory.forget()
        assert await memory.retrieve("Kundenrechnung") == []


@pytest.mark.anyio
async def test_wrong_options_stop_the_plugin_and_say_so(tmp_path: Path) -> None:
    config = {"plugins": {"memory": {"vectors": "faiss", "index": {"kind": "ivf"}}}}
    async with running("memory", config=config, strict=False) as runtime:
        assert "ivf" in runtime.quarantined["memory"].reason
