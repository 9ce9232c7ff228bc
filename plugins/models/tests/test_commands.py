"""`loom models`, as its owner uses it, and the scripted server as a program of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.instance import Instance

SCRIPT = [{"text": "Hello there.", "tokens": [3, 4]}, "\x1b[31mred", {"status": 401}]


@contextmanager
def serving(script: Sequence[Any]) -> Iterator[str]:
    """The address of `python -m loom.testing.models` with *script*."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(script, file)
        file.flush()
        command = [sys.executable, "-m", "loom.testing.models", "--port", "0", "--script"]
        with subprocess.Popen([*command, file.name], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield line.split(";")[0].split()[-1]
            process.terminate()


@pytest.fixture
def server() -> Iterator[str]:
    with serving(SCRIPT) as url:
        yield url


def test_an_owner_lists_and_asks(tmp_path: Path, server: str) -> None:
    config = f'[llm.fast]\nmodel = "m"\napi_base = "{server}"\napi_key = "sk-secret"\n'
    with Instance(tmp_path / "app", "models", "tools", config=config) as app:
        app.up()
        listed = app.loom("models", "list")
        assert "fast" in listed.stdout
        assert "sk-secret" not in listed.stdout
        (record,) = json.loads(app.loom("models", "list", "--json").stdout)
        assert (record["name"], record["is_local"], record["state"]) == ("fast", True, "ready")
        asked = app.loom("models", "ask", "fast", "Say hello", "--json")
        assert json.loads(asked.stdout)["content"] == "Hello there."
        assert app.loom("models", "ask", "fast", "x").stdout == "\\x1b[31mred\n"
        refused = app.loom("models", "ask", "fast", "x")
        assert refused.returncode == 1
        assert "MODEL_UNAUTHORIZED" in refused.stderr
        assert "there are: fast" in app.loom("models", "ask", "slow", "x").stderr
    assert app.loom("models", "list").returncode == 4


def test_a_script_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text('[{"txet": "Hi"}]')
    command = [sys.executable, "-m", "loom.testing.models", "--script", str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "script.json" in done.stderr
