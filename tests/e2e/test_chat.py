"""The assistant as a person meets it: `loom chat`, and a model server that is real."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from loom.testing.models import Answer, Asked, Call, FakeModels

from tests.e2e.instance import LOOM, Instance, kill, wait_for

APP = Path(__file__).parents[2] / "sdk" / "apps" / "chat-assistant"
PAGE = b"<title>Owls</title><p>They turn their heads 270 degrees.<p>They fly silently.<p>Mice."
REPORT = "# Owls\n- they turn their heads 270 degrees\n- they fly silently\n- they eat mice\n"
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(180),
    pytest.mark.feature("APP-01"),
    pytest.mark.feature("CLI-02"),
]


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextmanager
def page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/owls"
        finally:
            server.shutdown()
            serving.join()


@pytest.fixture
def app(home: Path) -> Iterator[Instance]:
    folder = home / "app"
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns(".loom", "workspace", "tests"))
    text = (folder / "loom.toml").read_text("utf-8")
    (folder / "loom.toml").write_text(
        f'{text}\n[plugins.native]\nweb_addresses = ["127.0.0.1/32"]\n', "utf-8"
    )
    with Instance(folder) as instance:
        yield instance


def use(app: Instance, models: FakeModels) -> None:
    app.environment |= {
        "LOOM_LLM": "custom", "CUSTOM_BASE_URL": models.url, "CUSTOM_MODEL": "test",
    }  # fmt: skip


async def chat(app: Instance, *lines: str, options: tuple[str, ...] = (), code: int = 0) -> str:
    """What `loom chat` prints to somebody who types *lines*."""
    typed = "".join(f"{line}\n" for line in lines)
    done = await asyncio.to_thread(app.loom, "chat", *options, input=typed, timeout=90.0)
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout + done.stderr


def report(url: str) -> list[Answer | str]:
    return [
        Answer(calls=(Call("web:fetch", {"url": url}),)),
        Answer(calls=(Call("fs:write_file", {"path": "report.md", "content": REPORT}),)),
        f"Three facts are in report.md, from {url}",
    ]


async def test_a_report_is_written_after_the_person_allowed_it(app: Instance) -> None:
    with page() as url:
        async with FakeModels(report(url)) as models:
            use(app, models)
            said = await chat(
                app, f"find three facts about owls on {url} and save them to report.md", "yes"
            )
    assert "assistant wants to run fs:write_file" in said
    assert 'path = "report.md"' in said
    assert f"Three facts are in report.md, from {url}" in said
    assert (app.folder / "workspace/report.md").read_text() == REPORT
    told = str(models.requests[1].body)
    assert "270 degrees" in told, "what the page says was told to the model"
    assert app.status()["state"] == "stopped", "what it started has ended with it"


async def test_without_a_yes_nothing_is_written(app: Instance) -> None:
    with page() as url:
        async with FakeModels(report(url)) as models:
            use(app, models)
            said = await chat(app, "save facts", "perhaps", "no", "/history")
    assert "yes or no?" in said
    assert "user: save facts" in said
    assert not (app.folder / "workspace/report.md").exists()
    assert "APPROVAL_DENIED" in str(models.requests[2].body), "the model was told"


async def test_what_can_be_typed(app: Instance) -> None:
    async with FakeModels() as models:
        use(app, models)
        said = await chat(
            app, "/help", "first question", "/stream", "second question", "/history", "/clear",
            "/history", "/verbose", "/approve", "/stop", "/frobnicate", "/research",
            "/research owls",
            "/quit", "never said",
        )  # fmt: skip
    for found in (
        "/research TOPIC", "You said: first question", "streaming is off",
        "You said: second question", "user: first question", "forgotten", "verbose is on",
        "nothing waits for you", "nothing runs", "there is no '/frobnicate'", "/research what?",
        "You said: owls",
    ):  # fmt: skip
        assert found in said, found
    assert said.count("user: first question") == 1, "what is forgotten is no history"
    asked = [request.prompt for request in models.requests]
    assert asked == ["first question", "second question", "owls"]
    assert "first question" in str(models.requests[1].body), "the second question knows the first"
    assert "first question" not in str(models.requests[2].body)
    assert "Research what you are asked" in str(models.requests[2].body)


async def test_the_history_survives_what_ends_loom(app: Instance) -> None:
    async with FakeModels() as models:
        use(app, models)
        first = app.up()["pid"]
        assert "You said: I am Bob" in await chat(app, "I am Bob")
        await asyncio.to_thread(kill, first)
        said = await chat(app, "/history", "who am I?")
        assert "user: I am Bob" in said
        assert "I am Bob" in str(models.requests[-1].body)
        assert "user:" not in await chat(app, "/history", options=("--session", "other"))


async def test_one_question_and_its_answer(app: Instance) -> None:
    async with FakeModels(["Mice.", Answer(status=401, text="no such key")]) as models:
        use(app, models)
        app.up()
        said = await chat(app, options=("--once", "What do owls eat?", "--json"))
        told = [json.loads(line) for line in said.splitlines()]
        assert [part["kind"] for part in told if part["kind"] != "text"] == ["begun", "answered"]
        assert told[-1]["text"] == "Mice."
        failed = await chat(app, options=("--once", "And voles?"), code=1)
        assert "no answer: MODEL_UNAUTHORIZED" in failed


async def test_who_is_not_there_is_said(app: Instance) -> None:
    app.up()
    said = await chat(app, options=("--agent", "nobody", "--patience", "1"), code=2)
    assert "no agent 'nobody'" in said


class Terminal:
    """`loom chat` at a terminal of its own."""

    def __init__(self, app: Instance) -> None:
        self._master, slave = pty.openpty()
        self._child = subprocess.Popen(
            [LOOM, "chat"], cwd=app.folder, env=app._environment() | {"NO_COLOR": "1"},
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self.seen = ""

    async def see(self, text: str) -> None:
        """Wait until *text* was shown."""

        def read() -> None:
            while text not in self.seen:
                self.seen += os.read(self._master, 4096).decode(errors="replace")

        async with asyncio.timeout(40):
            await asyncio.to_thread(read)

    def type(self, line: str) -> None:
        os.write(self._master, f"{line}\n".encode())

    def interrupt(self) -> None:
        self._child.send_signal(signal.SIGINT)

    async def end(self) -> int:
        code = await asyncio.to_thread(self._child.wait, 30)
        os.close(self._master)
        return code

    def kill(self) -> None:
        self._child.kill()
        self._child.wait()


@pytest.mark.parametrize("how", ["/stop", "Ctrl-C"])
async def test_an_answer_is_stopped_amid_a_word(app: Instance, how: str) -> None:
    def script(asked: Asked) -> Answer | str:
        return "short" if "short" in asked.prompt else Answer("endless words " * 500, pause=0.05)

    async with FakeModels(script) as models:
        use(app, models)
        app.up()
        terminal = Terminal(app)
        try:
            await terminal.see("›")
            terminal.type("talk")
            await terminal.see("endless words endless")
            terminal.type("/stop") if how == "/stop" else terminal.interrupt()
            await terminal.see("STOPPED")
            await asyncio.to_thread(wait_for, lambda: models.open == 0)
            assert models.abandoned == 1, "the model is not paid for what nobody reads"
            terminal.type("be short")
            await terminal.see("short\r\n")
            terminal.type("/quit")
            assert await terminal.end() == 0
        finally:
            terminal.kill()
    assert app.status()["state"] == "ready", "what it did not start goes on"


async def test_an_answer_is_made_although_who_asked_has_left(app: Instance) -> None:
    async with FakeModels([Answer("slow words " * 100, pause=0.02)]) as models:
        use(app, models)
        app.up()
        terminal = Terminal(app)
        try:
            await terminal.see("›")
            terminal.type("talk")
            await terminal.see("slow words")
            terminal.type("/quit")
            assert await terminal.end() == 0
            assert models.open == 1, "it is answered still"
        finally:
            terminal.kill()
        await asyncio.to_thread(wait_for, lambda: models.open == 0)
        said = await chat(app, "/history")
        assert f"assistant: {'slow words ' * 100}".strip() in said
        assert models.abandoned == 0
