"""What is measured: who is in the middle, and with what the others connect to it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bridge.stage import Actor, Stage

Middle = Callable[[Stage, str], Awaitable[tuple[Actor, str]]]
"""Starts what is in the middle by the path of a Python; gives it and the address of it."""
LOOK = 0.01
"""Seconds between two looks for a file."""


@dataclass(frozen=True, slots=True)
class System:
    """One way to get an event from a process to another."""

    link: str
    """The module of this package that connects to it."""
    middle: Middle


def loom(scheme: str, name: str) -> System:
    async def middle(stage: Stage, python: str) -> tuple[Actor, str]:
        actor, told = await stage.invite("kernel", json.dumps({}))
        path = Path(told["address"], f"{name}.sock")
        await appeared(path)  # gRPC's comes after the runtime is ready
        return actor, f"{scheme}://{path}"

    return System("loom_link", middle)


def own_middle(link: str, role: str, address: str) -> System:
    """One whose middle is made of Python too; *address* may name the stage's folder."""

    async def middle(stage: Stage, python: str) -> tuple[Actor, str]:
        where = address.format(folder=stage.folder, port=free_port())
        return await stage.play(link, role, where, python=python), where

    return System(link, middle)


async def nats_server(stage: Stage, python: str) -> tuple[Actor, str]:
    """nats-server on a port that is free, from the environment of nats-py."""
    ports = stage.folder / "ports"
    ports.mkdir()
    server = Path(python).with_name("nats-server")
    where = ("-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(ports))
    actor = await stage.start(server, *where)
    file = await told_in(ports)
    return actor, str(json.loads(file.read_text(encoding="utf-8"))["nats"][0])


async def appeared(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110  # whoever makes it does not know us
        await asyncio.sleep(LOOK)


async def told_in(folder: Path) -> Path:
    """The first file with something in it that appears in *folder*."""
    while True:
        for file in folder.iterdir():
            if file.stat().st_size:
                return file
        await asyncio.sleep(LOOK)


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SYSTEMS = {
    "frames": loom("unix", "frames"),
    "grpc": loom("grpc+unix", "grpc"),
    "websocket": loom("ws+unix", "websocket"),
    "raw": own_middle("raw_link", "hub", "{folder}/hub.sock"),
    "echo": own_middle("echo_link", "server", "unix:{folder}/echo.sock"),
    "nats-py": System("nats_link", nats_server),
    "autogen-ext": own_middle("autogen_link", "host", "127.0.0.1:{port}"),
}
