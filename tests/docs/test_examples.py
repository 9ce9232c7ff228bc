"""What the pages show works: code runs, configuration is accepted, commands exist."""

from __future__ import annotations

import runpy
import shlex
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from loom_kernel import installed, load_config
from loom_kernel.paths import find_paths
from loom_kernel.plugins import Plugins
from loom_kernel.testing import EventRecorder, running

from tests.docs.pages import ROOT, Block, blocks, pages

README = ROOT / "README.md"
TUTORIAL = ROOT / "docs/tutorial/first-agent.md"
SIMULATION = ROOT / "docs/how-to/simulate-time.md"
SHELL = [block for page in pages() for block in blocks(page, "sh")]
CONFIG = [block for page in pages() for block in blocks(page, "toml")]
PYTHON = [block for page in pages() for block in blocks(page, "python")]


def name(block: Block) -> str:
    return f"{block.page}:{block.line}"


def make_app(folder: Path, *files: tuple[str, str]) -> Path:
    for path, text in files:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return folder


@cache
def options(command: str) -> str:
    """The help of `loom COMMAND`."""
    words = [sys.executable, "-m", "loom_kernel", *command.split(), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"there is no `loom {command}`: {done.stderr}"
    return done.stdout


def loom_lines() -> list[tuple[str, list[str]]]:
    """Every `loom …` a page shows in a shell block, as words."""
    found = []
    for block in SHELL:
        for line in block.text.replace("&&", "\n").replace(";", "\n").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] in (["loom"], [".venv/bin/loom"]):
                found.append((f"{name(block)} {line.strip()}", [w for w in words[1:] if w != "&"]))
    return found


@pytest.mark.parametrize(
    ("where", "words"), loom_lines(), ids=lambda v: v if isinstance(v, str) else ""
)
def test_every_command_shown_exists_with_its_options(where: str, words: list[str]) -> None:
    is_group = "COMMAND [ARGS]" in options(words[0]) and len(words) > 1
    help_text = options(" ".join(words[: 2 if is_group and words[1][:1].isalpha() else 1]))
    for word in words[1:]:
        if word.startswith("-"):
            assert word.partition("=")[0] in help_text, where


@pytest.mark.parametrize("block", CONFIG, ids=name)
def test_every_configuration_shown_is_accepted(block: Block, tmp_path: Path) -> None:
    values = tomllib.loads(block.text)
    if {"project", "hook_api", "settings", "kind"} & values.keys():
        return  # a pyproject.toml or a manifest, not a configuration
    make_app(tmp_path, ("loom.toml", block.text))
    plugins = Plugins(installed())
    others = set(values.get("plugins", {})) - set(plugins.manifests)
    load_config(find_paths(tmp_path)).check(plugins.manifests, others)


@pytest.mark.parametrize("block", PYTHON, ids=name)
def test_every_program_shown_is_python(block: Block) -> None:
    compile(block.text, name(block), "exec", flags=0x2000)  # awaits at the top level are allowed


@pytest.mark.anyio
async def test_the_readmes_first_agent_counts_words(tmp_path: Path) -> None:
    agent = blocks(README, "python")[0].text
    config = blocks(README, "toml")[0].text
    app = make_app(tmp_path, ("agents/counter.py", agent), ("notes/.keep", ""))
    values = {**tomllib.loads(config), "workspace": {"root": "notes"}}
    plugins = ("agents", "files", "native", "timers", "tools")
    async with running(*plugins, config=values, project=app) as runtime:
        recorder = EventRecorder(runtime.host("test"), "notes.>")
        (app / "notes/first.md").write_text("one two three", "utf-8")
        (event,) = await recorder.wait_for("notes.counted")
    assert event.data == {"words": 3}


@pytest.mark.anyio
async def test_the_readmes_planner_calls_the_researchers_capability(tmp_path: Path) -> None:
    app = make_app(tmp_path, ("agents/team.py", blocks(README, "python")[1].text))
    async with running("agents", "tools", project=app) as runtime:
        answer = await runtime.host("test").request("plan.wanted", {"about": "looms"})
    assert answer.data == {"plan": ["https://example.com/looms"]}


@pytest.mark.anyio
async def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    counter, praise = (block.text for block in blocks(TUTORIAL, "python"))
    config = "\n".join(block.text for block in blocks(TUTORIAL, "toml"))
    app = make_app(
        tmp_path,
        ("agents/counter.py", counter), ("agents/praise.py", praise), ("notes/.keep", ""),
    )  # fmt: skip
    plugins = ("agents", "files", "native", "tools")
    async with running(*plugins, config=tomllib.loads(config), project=app) as runtime:
        recorder = EventRecorder(runtime.host("test"), "notes.>")
        (app / "notes/first.md").write_text("# It works\n", "utf-8")
        await recorder.wait_for("notes.praised")
    counted, praised = recorder.events
    assert praised.thread_id == counted.thread_id
    assert praised.causation_id == counted.id
    assert "untrusted" in praised.labels


def test_the_simulated_day_has_twenty_four_hours(tmp_path: Path) -> None:
    (program,) = blocks(SIMULATION, "python")
    make_app(tmp_path, ("test_day.py", program.text))
    runpy.run_path(str(tmp_path / "test_day.py"))["test_a_day_has_twenty_four_hours"]()
