"""Where no model is set up the router costs next to nothing, and says what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from loom_kernel.testing import running

pytestmark = [pytest.mark.anyio, pytest.mark.feature("RTE-01")]
PROBE = """
import asyncio, sys
from loom_kernel.testing import running

async def main():
    async with running("agents", "models", "router"):
        print(*sys.modules)

asyncio.run(main())
"""


@pytest.mark.parametrize("topic", ["router.decide", "router.why", "router.decisions"])
async def test_whoever_asks_hears_what_is_missing(topic: str) -> None:
    async with running("models", "router") as runtime:
        answer = await runtime.host("ada").request(topic, {"agent": "ada"})
        assert "no model is set up" in answer.data["error"]
        assert "LOOM_LLM" in answer.data["error"]
        assert runtime.health()["router"].healthy


async def test_nothing_of_it_is_loaded() -> None:
    done = subprocess.run(  # noqa: ASYNC221  # nothing else goes on here
        [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = set(done.stdout.split())
    assert "loom_plugin_router.idle" in loaded
    assert not loaded & {"loom_plugin_router.service", "loom_plugin_router.learning"}
