"""Plugins in processes of their own, as their authors write them, and a process of one."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from loom.contracts import ToolCall
from loom.plugin import (
    FOLDER,
    PROTOCOLS,
    TOKEN_DESCRIPTOR,
    Call,
    Emission,
    Handshake,
    Plugin,
)
from loom_kernel import InvalidTopic, LoomError

pytestmark = [pytest.mark.anyio, pytest.mark.feature("PLG-03")]

PROGRAM = """
from loom.plugin import Plugin
Plugin().run()
"""


async def run(plugin: Plugin, name: str, **arguments: Any) -> Any:
    return await plugin.tools[name, "1.0"].run(Call(ToolCall(name, arguments), None))


async def test_a_function_is_a_tool_with_the_schema_of_its_signature() -> None:
    plugin = Plugin()

    @plugin.tool("text:cut", timeout=5.0, permissions=("fs.read",))
    def cut(text: str, call: Call, at: int = 2) -> str:
        """Cut a text."""
        assert threading.current_thread() is not threading.main_thread()
        return f"{text[:at]} {call.arguments['text']}"

    assert cut.__name__ == "cut", "it stays a function"
    descriptor = plugin.tools["text:cut", "1.0"].descriptor
    assert (descriptor.description, descriptor.provider) == ("Cut a text.", "process")
    assert (descriptor.timeout, descriptor.permissions) == (5.0, ("fs.read",))
    assert set(descriptor.parameters["properties"]) == {"text", "at"}
    assert await run(plugin, "text:cut", text="abc") == "ab abc"


async def test_a_cancelled_function_in_a_thread_ends_when_it_has_ended() -> None:
    plugin, begun, go_on = Plugin(), threading.Event(), threading.Event()

    @plugin.tool("text:wait")
    def wait() -> None:
        begun.set()
        go_on.wait(10)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(plugin, "text:wait"))
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=0.05)
        assert not done, "the thread runs, and so does the call"
        go_on.set()
    assert task.cancelled()


async def test_what_is_wrong_is_said_where_it_is_written() -> None:
    with pytest.raises(LoomError, match="a plugin is no 'tol'"):
        Plugin(types=("tol",))
    with pytest.raises(InvalidTopic):
        Plugin().on("a..b")(print)
    from loom.plugin.authoring import emissions

    assert emissions(None) == []
    assert len(emissions([Emission(topic="a"), Emission(topic="b")])) == 2
    with pytest.raises(TypeError, match="not dict"):
        emissions([{"topic": "a"}])  # type: ignore[list-item]  # that is the mistake


async def test_a_process_of_a_plugin_ends_with_its_standard_input(home: Path) -> None:
    """That is how it learns, without a sandbox, that its runtime was killed."""
    reading, writing = os.pipe()
    os.write(writing, b"secret")
    os.close(writing)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, pass_fds=(reading,),
        env={**os.environ, TOKEN_DESCRIPTOR: str(reading), FOLDER: str(home), PROTOCOLS: "1,7"},
    )  # fmt: skip
    os.close(reading)
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(30):
        shake = Handshake.parse(await process.stdout.readline(), str(home))
        assert (shake.protocol, shake.address) == (1, str(home / "plugin.sock"))
        process.stdin.close()
        assert await process.wait() == 0
