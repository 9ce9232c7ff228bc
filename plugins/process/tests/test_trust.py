"""Nothing runs that nobody has looked at, and nothing that has changed since."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from loom_kernel import ConfigError
from loom_kernel.testing import running
from loom_plugin_process.program import read_programs

from plugins.process.tests.house import PROGRAMS, house, program

pytestmark = [pytest.mark.anyio, pytest.mark.feature("PLG-03", "X-11")]

MARKED = """
import pathlib
pathlib.Path({mark!r}).write_text("it ran", "utf-8")
"""


async def test_a_program_runs_only_after_it_was_trusted(tmp_path: Path) -> None:
    words = program("words.py", subscribe=["heard.>"], network=True)
    async with house(tmp_path, {"words": words}, trusted=False) as home:
        record = await home.reached("words", "untrusted")
        assert record["reason"].endswith("look at it with: loom process trust words")
        assert not record["pid"]
        seen = await home.ask("words", "inspect")
        assert seen["changes"][:2] == ["nobody has trusted it yet", "it newly may use the network"]
        assert "it newly may receive events of heard.>" in seen["changes"]
        (digest,) = [d for file, d in seen["found"]["files"].items() if file.endswith("words.py")]
        assert digest == sha256((PROGRAMS / "words.py").read_bytes()).hexdigest()
        record = await home.ask("words", "trust", shown=seen["shown"])
        assert record["state"] == "running"
        assert (await home.call("words:count", text="a b")).output == {"words": 2}
        pinned = json.loads((tmp_path / "tools.lock").read_text("utf-8"))["process"]["words"]
        assert pinned == seen["found"]
        assert await home.ask("words", "inspect") | {"record": {}} == seen | {
            "changes": [],
            "record": {},
        }
    async with house(tmp_path, {"words": words}, trusted=False) as home:
        await home.reached("words", "running")


async def test_changed_bytes_and_new_rights_are_asked_for_again(tmp_path: Path) -> None:
    script = tmp_path / "words.py"
    mark = tmp_path / "marks" / "mark"
    mark.parent.mkdir()
    script.write_text("raise SystemExit(1)", "utf-8")
    entry = {"command": ["python3", "words.py"], "write": ["marks"]}
    async with house(tmp_path, {"words": entry}, max_restarts=0) as home:
        await home.reached("words", "quarantined")
        script.write_text(MARKED.format(mark=str(mark)), "utf-8")
        record = await home.ask("words", "restart")
        assert record["state"] == "untrusted"
        assert (await home.ask("words", "inspect"))["changes"] == ["the file words.py has changed"]
    wider = {**entry, "publish": ["said.>"], "env": {"MODE": "loud"}}
    async with house(tmp_path, {"words": wider}, trusted=False) as home:
        await home.reached("words", "untrusted")
        assert (await home.ask("words", "inspect"))["changes"] == [
            "the file words.py has changed",
            "the variable MODE is new",
            "it newly may publish to said.>",
        ]
        assert not home.runtime.health()["process"].healthy
    assert not mark.exists(), "no byte of it has run"


async def test_what_is_trusted_is_what_was_shown(tmp_path: Path) -> None:
    script = tmp_path / "words.py"
    script.write_text("raise SystemExit(1)", "utf-8")
    async with house(
        tmp_path, {"words": {"command": ["python3", "words.py"]}}, trusted=False
    ) as home:
        await home.reached("words", "untrusted")
        seen = await home.ask("words", "inspect")
        script.write_text("raise SystemExit(2)", "utf-8")
        refused = await home.ask("words", "trust", shown=seen["shown"])
        assert "has changed since it was shown" in refused["error"]
        assert (await home.record("words"))["state"] == "untrusted"


async def test_only_the_owner_decides(tmp_path: Path) -> None:
    async with house(tmp_path, {"words": program("words.py")}, trusted=False) as home:
        await home.reached("words", "untrusted")
        for action in ("inspect", "trust", "restart"):
            asked = {"name": "words", "action": action, "shown": ""}
            answer = (await home.caller.request("process.control", asked)).data
            assert "'caller' may not decide that" in answer["error"]
        assert not (tmp_path / "tools.lock").exists()
        assert "there is no [process.other]" in (await home.ask("other", "restart"))["error"]


async def test_one_that_is_switched_off_is_not_started(tmp_path: Path) -> None:
    async with house(tmp_path, {"words": program("words.py", enabled=False)}) as home:
        record = await home.record("words")
        assert (record["state"], record["pid"]) == ("disabled", 0)
        assert home.runtime.health()["process"].healthy
        assert "enabled = false" in (await home.ask("words", "restart"))["error"]


WRONG: list[tuple[str, Any, str]] = [
    ("words", {"comand": ["x"]}, "'comand' in [process.words]; did you mean 'command'?"),
    ("words", {"command": []}, "[process.words]: command must name a program"),
    ("words", {}, "[process.words]: Object missing required field `command`"),
    ("words", {"command": "python3 x.py"}, "[process.words]: Expected `array`"),
    ("words", {"command": ["x"], "memory": -1}, "memory not below"),
    ("words", {"command": ["x"], "timeout": 0}, "must be above 0"),
    ("words", {"command": ["x"], "publish": ["a..b"]}, "an empty token"),
    ("words", {"command": ["x", "a\0b"]}, "NUL"),
    ("words", 1, "[process.words] must be a table"),
    ("tools", {"command": ["x"]}, "Loom itself speaks as 'tools'"),
    ("cli", {"command": ["x"]}, "Loom itself speaks as 'cli'"),
    ("a.b", {"command": ["x"]}, "'a.b' cannot name a plugin"),
    ("Words", {"command": ["x"]}, "cannot name a plugin"),
]


@pytest.mark.corpus
@pytest.mark.parametrize(("name", "entry", "text"), WRONG)
def test_a_wrong_table_is_complained_of_by_name(name: str, entry: Any, text: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        read_programs({name: entry})
    assert text in str(wrong.value)


def test_without_programs_nothing_heavy_is_imported() -> None:
    code = (
        "import asyncio, sys\nfrom loom_kernel.testing import running\n"
        "async def main():\n    async with running('sandbox', 'process'):\n"
        "        return sorted({'grpc', 'google.protobuf'} & set(sys.modules))\n"
        "print(asyncio.run(main()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


async def test_wrong_tables_keep_the_plugin_from_starting(tmp_path: Path) -> None:
    config = {"process": {"words": {"comand": ["x"]}}}
    async with running("sandbox", "process", config=config, strict=False) as runtime:
        assert "[process.words]" in runtime.quarantined["process"].reason
