"""The adapters that come with Loom, each on a real runtime, and the choice between them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from loom.testing import check_host_adapter
from loom_kernel.testing import EventRecorder, check_plugin_contract, running


@pytest.mark.anyio
async def test_the_plugin_keeps_its_contract() -> None:
    await check_plugin_contract("hosts")


@pytest.mark.anyio
@pytest.mark.feature("PLG-05")
async def test_the_headless_host_keeps_the_adapter_contract() -> None:
    await check_host_adapter(
        "headless",
        senses="host.heartbeat.beat",
        act_on="action.journal",
        action={"note": "remember"},
        options={"every": 0.05},
    )


@pytest.mark.anyio
@pytest.mark.feature("PLG-05")
async def test_what_is_journaled_is_in_the_file(tmp_path: Path) -> None:
    async with running("hosts", state=tmp_path) as runtime:
        host = runtime.host("someone")
        recorder = EventRecorder(host, "action.>")
        await host.request("action.journal", {"note": "grüße"})
        (done,) = recorder.on("action.journal.completed")
    (line,) = (tmp_path / "plugins/hosts/actions.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line) == {"note": "grüße"}
    assert done.data["code"] == "ACTION_OK"
    assert (tmp_path / "plugins/hosts/actions.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.feature("PLG-05")
def test_the_terminal_turns_lines_into_events_and_actions_into_lines() -> None:
    """A child process with real standard streams; an agent of the script echoes what is typed."""
    script = """
import asyncio
from loom_kernel.testing import running
async def main():
    config = {"plugins": {"hosts": {"adapter": "terminal"}}}
    async with running("hosts", config=config) as runtime:
        host = runtime.host("echo")
        done = asyncio.Event()
        async def echo(event):
            if event.data["text"] == "bye":
                done.set()
            else:
                await host.request("action.terminal", {"text": "you said " + event.data["text"]})
        host.on("host.terminal.line", handler=echo)
        refused = await host.request("action.terminal", {"colour": "red"})
        print(refused.data["code"], flush=True)
        await done.wait()
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input="hello\n\x1b[2J\nbye\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=dict(os.environ),
    )
    assert done.stdout.splitlines() == ["INVALID_PARAMS", "you said hello", r"you said \x1b[2J"]


@pytest.mark.anyio
async def test_an_unknown_adapter_is_named_with_those_there_are() -> None:
    config = {"plugins": {"hosts": {"adapter": "toaster"}}}
    async with running("hosts", config=config, strict=False) as runtime:
        lost = runtime.quarantined["hosts"]
    assert "toaster" in lost.reason
    assert "headless, terminal" in lost.reason
