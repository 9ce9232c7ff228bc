"""A runtime for the tests: says in one line where it is, and ends with its input."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

from loom.bridge import bridge_folder
from loom_kernel.testing import running

QUICK = {"heartbeat": 0.5, "lease": 2.0, "retention": 30.0}


ORIGIN = "http://127.0.0.1:8080"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def main() -> None:
    tcp = f"127.0.0.1:{free_port()}"
    settings = {"plugins": {"bridge": {**QUICK, "websocket_tcp": tcp, "origins": [ORIGIN]}}}
    more = ["journal"] if os.environ.get("LOOM_TEST_JOURNAL") else []
    async with running("agents", "tools", "bridge", *more, config=settings) as runtime:
        folder = bridge_folder(runtime.host("outside").world.paths)
        token = (folder / "local.token").read_text().strip()
        where = {"folder": str(folder), "token": token, "url": f"ws://{tcp}", "origin": ORIGIN}
        sys.stdout.write(json.dumps(where) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
