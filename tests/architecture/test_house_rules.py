"""The root conftest.py keeps its word: leaks and forbidden skips are failures, homes are apart."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workspace import ROOT

HEADER = "import asyncio, os, pytest\nfrom pathlib import Path\npytestmark = pytest.mark.anyio\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """An empty repository with our conftest.py and our settings."""
    for name in ("conftest.py", "pyproject.toml"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"))
    return tmp_path


def judge(house: Path, code: str, **environment: str) -> tuple[int, str]:
    """Run *code* as the house's only test module; return pytest's exit code and its output."""
    (house / "test_case.py").write_text(HEADER + code)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("LOOM_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
         "--continue-on-collection-errors", *sorted(house.glob("test_*.py"))],
        cwd=house, env=variables | environment, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_task_left_running_is_a_failure(house: Path) -> None:
    code, said = judge(
        house,
        "async def test_it():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    loop.create_task(asyncio.Event().wait(), name='forgotten')\n",
    )
    assert code == 1
    assert "left tasks running: forgotten" in said


def test_an_error_nobody_looked_at_is_a_failure(house: Path) -> None:
    code, said = judge(
        house,
        "async def test_it():\n"
        "    asyncio.get_running_loop().create_future().set_exception(ValueError('unseen'))\n",
    )
    assert code == 1
    assert "unseen" in said


def test_a_fixture_may_own_tasks_until_it_ends(house: Path) -> None:
    code, said = judge(
        house,
        "@pytest.fixture\n"
        "async def owner():\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        task = group.create_task(asyncio.Event().wait())\n"
        "        yield\n"
        "        task.cancel()\n"
        "async def test_it(owner):\n"
        "    assert len(asyncio.all_tasks()) > 1\n",
    )
    assert code == 0, said


def test_a_warning_is_a_failure(house: Path) -> None:
    code, said = judge(house, "async def test_it():\n    asyncio.sleep(0)\n")
    assert code == 1
    assert "never awaited" in said


@pytest.mark.parametrize(
    ("reason", "require", "failures"),
    [("no such program", "", 0), ("no such program", "all", 3), ("needs macOS: menus", "all", 0)],
)
def test_a_skip_is_a_failure_where_all_is_required(
    house: Path, reason: str, require: str, failures: int
) -> None:
    module = f"{HEADER}pytest.skip('{reason}', allow_module_level=True)\n"
    (house / "test_module.py").write_text(module)
    code, said = judge(
        house,
        f"@pytest.mark.skip(reason='{reason}')\nasync def test_mark(): pass\n"
        f"async def test_call(): pytest.skip('{reason}')\n"
        "async def test_passes(): pass\n",
        LOOM_TEST_REQUIRE=require,
    )
    assert bool(code) == bool(failures), said
    assert said.count(f"although LOOM_TEST_REQUIRE=all: {reason}") >= failures
    assert ("3 skipped" in said) == (not failures), said


def test_every_test_has_a_home_of_its_own(house: Path, home: Path) -> None:
    code, said = judge(
        house,
        "seen = set()\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "async def test_it(home, n):\n"
        "    assert Path.home() == home and not list(home.glob('*/*'))\n"
        "    assert os.environ['XDG_STATE_HOME'] == str(home / 'state')\n"
        "    assert 'LOOM_PROFILE' not in os.environ\n"
        "    (home / 'state' / 'x').touch()\n"
        "    seen.add(home)\n"
        "    assert len(seen) == n and len(str(home)) < 40\n",
        LOOM_PROFILE="server",
    )
    assert code == 0, said
    assert not list((home / "state").iterdir())
