"""The programs on the page about processes do what it says, against a Loom that runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.e2e.instance import Instance, wait_for

PAGE = ROOT / "docs/how-to/use-processes.md"
SHOUTER, CLIENT = (block.text for block in blocks(PAGE, "python"))


@pytest.fixture
def loom(home: Path) -> Iterator[Instance]:
    with Instance(home / "app", "agents", "tools", "bridge") as instance:
        instance.up()
        yield instance


@pytest.mark.feature("RT-01")
def test_a_program_joins_is_asked_and_leaves(loom: Instance) -> None:
    (loom.folder / "shouter.py").write_text(SHOUTER, "utf-8")
    (loom.folder / "client.py").write_text(CLIENT, "utf-8")
    shouter = subprocess.Popen([sys.executable, "shouter.py"], cwd=loom.folder)
    try:
        wait_for(lambda: loom.agents().get("shouter", {}).get("status") == "active")
        client = subprocess.run(
            [sys.executable, "client.py"],
            cwd=loom.folder,
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert client.stdout == "HELLO text.shout\n", client.stderr
        shouter.send_signal(signal.SIGINT)
        assert shouter.wait(10) == 0
        wait_for(lambda: not loom.agents())
    finally:
        shouter.kill()
        shouter.wait()


def test_its_configuration_is_one_that_loom_takes(loom: Instance) -> None:
    for block in blocks(PAGE, "toml"):
        tomllib.loads(block.text)
        (loom.folder / "loom.toml").write_text(f'profile = "desktop"\n{block.text}', "utf-8")
        done = loom.loom("doctor", "--json")
        assert "loom.toml" not in done.stderr, done.stderr
