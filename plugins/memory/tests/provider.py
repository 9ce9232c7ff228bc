"""A server with OpenAI's `/embeddings`, on loopback; its vectors count letters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def letters(text: str) -> list[float]:
    return [float(text.lower().count(letter)) for letter in LETTERS]


class Provider:
    """What it is asked, and how it answers: `status`, or `body` instead of vectors."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.status = 200
        self.body: bytes | None = None
        self.go_on = Event()
        self.go_on.set()

    def answer(self, asked: dict[str, Any]) -> bytes:
        if self.body is not None:
            return self.body
        rows = [{"index": n, "embedding": letters(t)} for n, t in enumerate(asked["input"])]
        return json.dumps({"object": "list", "data": rows[::-1], "model": asked["model"]}).encode()


@contextmanager
def serving() -> Iterator[Provider]:
    provider = Provider()

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name is the library's
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            provider.requests.append({"path": self.path, **asked})
            provider.keys.append(self.headers.get("Authorization", ""))
            provider.go_on.wait(30)
            body = provider.answer(asked)
            self.send_response(provider.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield provider
    finally:
        provider.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
