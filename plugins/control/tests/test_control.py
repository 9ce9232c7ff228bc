from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loom.instance import InstanceProcess, connect, listen, lock_holder, peer_uid
from loom_kernel import AlreadyRunning, Host, StateLock, find_paths
from loom_kernel.testing import check_plugin_contract, running, wait_until
from loom_plugin_control.requests import Tail
from loom_plugin_control.server import ControlServer
from loom_plugin_control.tap import Tap

pytestmark = [pytest.mark.anyio, pytest.mark.feature("RT-02")]


async def ask(path: Path, **request: Any) -> list[Any]:
    """Send one request; the lines that come back until the end."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(json.dumps(request).encode() + b"\n")
    lines = [json.loads(line) async for line in reader]
    writer.close()
    return lines


async def test_the_plugin_keeps_its_contract() -> None:
    await check_plugin_contract("control")


async def test_the_protocol_as_the_readme_tells_it() -> None:
    async with running("control") as runtime:
        path = runtime.paths.socket
        async with runtime_answering(runtime.host("answering")):
            assert await ask(path, op="publish", topic="a.b", data=1) == [{"result": {"taken": 0}}]
            (answer,) = await ask(path, op="request", topic="ask.me", data=[1])
            assert (answer["event"]["data"], answer["event"]["sender"]) == ([1], "answering")
            (late,) = await ask(path, op="request", topic="ask.nobody")
            assert late["error"]["code"] == "PROVIDER_UNAVAILABLE"
            (slow,) = await ask(path, op="request", topic="ask.slow", timeout=0.01)
            assert slow["error"]["code"] == "ACTION_TIMEOUT"
        *items, last = await ask(path, op="topics", patterns=["a.*"])
        assert [line["item"]["topic"] for line in items] == ["a.b"]
        assert last == {"result": {"topics": 1}}
        (status,) = await ask(path, op="status")
        assert status["result"]["state"] == "ready"
        assert await ask(path, op="stop") == [{"result": {}}]
        assert runtime.stop_requested.is_set()


@asynccontextmanager
async def runtime_answering(host: Host) -> AsyncIterator[None]:
    async def answer(event: Any) -> None:
        await host.reply(event, event.data)

    host.on("ask.me", handler=answer)
    host.subscribe("ask.slow")
    yield
    await host.aclose()


async def test_only_the_owner_is_served() -> None:
    async with running() as runtime:
        host = runtime.host("control")
        async with aclosing(ControlServer(host, owner=os.getuid() + 1)) as server:
            await server.start()
            reader, writer = await asyncio.open_unix_connection(str(runtime.paths.socket))
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            assert server.health().metrics["refused"] == 1
        await host.aclose()


async def test_who_watches_is_told_the_end_and_costs_nothing_afterwards() -> None:
    async with running("control") as runtime:
        reader, writer = await asyncio.open_unix_connection(str(runtime.paths.socket))
        writer.write(b'{"op": "tail", "patterns": ["a.>"]}\n')
        assert json.loads(await reader.readline()) == {"result": {"patterns": ["a.>"]}}
        host = runtime.host("test")
        assert await host.publish("a.b", 1) == 0, "an onlooker is no subscriber"
        assert json.loads(await reader.readline())["event"]["topic"] == "a.b"
    assert json.loads(await reader.readline()) == {"end": "stopped"}
    assert await reader.read() == b""
    writer.close()


async def test_a_client_that_leaves_ends_its_request() -> None:
    async with running("control") as runtime:
        runtime.host("test").subscribe("ask.slow")
        for request in (
            b'{"op": "tail"}\n',
            b'{"op": "request", "topic": "ask.slow", "timeout": 600}\n',
        ):
            _, writer = await asyncio.open_unix_connection(str(runtime.paths.socket))
            writer.write(request)
            await wait_until(lambda: runtime.health()["control"].metrics["connections"] == 1)
            writer.close()
            await wait_until(lambda: runtime.health()["control"].metrics["connections"] == 0)


async def test_a_slow_onlooker_is_told_how_much_was_left_out_and_where() -> None:
    tap = Tap(Tail(), capacity=2)
    async with running() as runtime:
        host = runtime.host("test")
        host.add_filter(tap.take)
        for number in range(5):
            await host.publish("a.b", number)
        tap.close("stopped")
        lines = [json.loads(line) async for line in tap.frames()]
        await host.aclose()
    assert lines[0] == {"dropped": 3}
    assert [line["event"]["data"] for line in lines[1:3]] == [3, 4]
    assert lines[3] == {"end": "stopped"}


async def test_a_path_of_any_length_can_be_listened_on(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40) / ("longer" * 20)
    folder.mkdir(parents=True)
    path = folder / "control.sock"
    assert len(str(path)) > 200
    async with running("control", state=folder) as runtime:
        assert path.is_socket()
        assert runtime.paths.socket == path
        with connect(path, 1.0) as client:
            assert peer_uid(client) == os.getuid()
    assert not path.exists()


async def test_a_living_instance_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with listen(path, 1), pytest.raises(AlreadyRunning):
        listen(path, 1)
    listen(path, 1).close()  # the first one is gone: its name is free


async def test_the_socket_is_private_from_its_first_moment(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        server = socket.socket(socket.AF_UNIX)
        os.fchmod(server.fileno(), 0o600)
        server.bind(str(tmp_path / "s"))
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600, "`listen` relies on this"
    finally:
        os.umask(before)
        server.close()


async def test_the_process_that_holds_a_state_folder(tmp_path: Path) -> None:
    paths = find_paths(None, tmp_path / "state")
    assert lock_holder(paths.state) == 0
    with StateLock(paths):
        assert lock_holder(paths.state) == os.getpid()
        with InstanceProcess(paths.state) as process:
            assert process.pid == os.getpid()
            assert not process.wait(0)
        (paths.state / "loom.lock").write_text("1")
        assert lock_holder(paths.state) == 0, (
            "another process does not hold it, whatever is written"
        )
    assert lock_holder(paths.state) == 0
    with pytest.raises(ProcessLookupError):
        InstanceProcess(paths.state)
