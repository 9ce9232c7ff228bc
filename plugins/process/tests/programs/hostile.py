"""A plugin that does whatever it should not."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from loom.contracts import ToolHints
from loom.plugin import Emission, Plugin
from loom_kernel import Envelope

plugin = Plugin(types=("tool", "actuator"))
HELD: list[bytearray] = []


@plugin.start
def start() -> None:
    if plugin.settings.get("fails"):
        raise RuntimeError("no microphone")
    if plugin.settings.get("dies"):
        os._exit(7)


@plugin.tool("hostile:echo")
async def echo(text: str = "") -> str:
    return text


@plugin.tool("hostile:seen")
async def seen() -> dict[str, object]:
    """What the process can see of its own way in."""
    return {"environment": dict(os.environ), "argv": list(sys.orig_argv)}


@plugin.tool("hostile:sleep")
async def sleep(seconds: float = 3600.0) -> None:
    """A call that can be cancelled."""
    import asyncio

    await asyncio.sleep(seconds)


@plugin.tool("hostile:hang")
def hang() -> None:
    """A call that cannot be cancelled, of a plugin that is otherwise well."""
    threading.Event().wait()


@plugin.tool("hostile:block")
async def block() -> None:
    """A call that blocks the whole plugin."""
    threading.Event().wait()


@plugin.tool("hostile:spin")
def spin() -> None:
    """An endless loop."""
    while True:
        pass


@plugin.tool("hostile:crash")
async def crash() -> None:
    sys.stderr.write("segmentation fault, as it were\n")
    sys.stderr.flush()
    os._exit(11)


@plugin.tool("hostile:read", hints=ToolHints(read_only=True))
async def read() -> None:
    os._exit(11)


@plugin.tool("hostile:big")
async def big(size: int) -> str:
    return "x" * size


@plugin.tool("hostile:hog")
async def hog() -> None:
    while True:
        HELD.append(bytearray(16 << 20))


@plugin.tool("hostile:flood")
def flood(lines: int) -> int:
    for _ in range(lines):
        print("on standard output " + "." * 60)
        sys.stderr.write("on standard error " + "." * 60 + "\n")
    return lines


@plugin.tool("hostile:reach")
def reach(path: str) -> str:
    return Path(path).read_text("utf-8")


@plugin.tool("hostile:dial")
def dial(port: int) -> str:
    import socket

    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return "connected"


@plugin.tool("hostile:forbidden", permissions=("exec",))
async def forbidden() -> None:
    raise AssertionError("it was not granted")


@plugin.on("do.*")
async def do(event: Envelope) -> list[Emission]:
    if event.topic == "do.fail":
        raise RuntimeError("I will not")
    topics = event.data if isinstance(event.data, list) else [event.data]
    return [Emission(topic=topic, data={"because": event.topic}) for topic in topics]


@plugin.on("secret.>")
async def secret(event: Envelope) -> None:
    raise AssertionError("it was not granted")


if os.environ.get("IGNORE_TERM"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
plugin.run()
