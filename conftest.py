"""What every test of this repository can rely on: its own home, no leaks, no silent skips."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

ELSEWHERE = ("needs macOS", "needs Windows")  # reasons that stay skips on Linux
XDG = {
    "XDG_CONFIG_HOME": "config",
    "XDG_DATA_HOME": "data",
    "XDG_STATE_HOME": "state",
    "XDG_CACHE_HOME": "cache",
    "XDG_RUNTIME_DIR": "run",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--corpora", choices=("all", "first"), default="all",
        help="of a test marked `corpus`, run all cases or only the first",
    )  # fmt: skip


def pytest_configure() -> None:
    # A run that was started in the background ignores Ctrl-C, and so would all that it starts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # An app is a folder, not a distribution: its tests import it as `loom run` does, from there.
    apps = Path(__file__).parent.glob("sdk/apps/*/")
    sys.path.extend(sorted(str(app) for app in apps))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# --- a home of its own -----------------------------------------------------------------------


def _move_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Point HOME and the XDG folders below *home*, and drop settings of the caller's Loom."""
    cache = os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv"
    patch.setenv("UV_CACHE_DIR", str(cache))  # tests that build environments stay fast
    patch.setenv("HOME", str(home))
    patch.setenv("USERPROFILE", str(home))
    for name, folder in XDG.items():
        (home / folder).mkdir(mode=0o700)
        patch.setenv(name, str(home / folder))
    patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # compiling costs more than most tests
    for name in list(os.environ):
        is_own = name.startswith("LOOM_") and not name.startswith("LOOM_TEST_")
        if is_own or name.endswith("_API_KEY"):  # a test must not ask the developer's own model
            patch.delenv(name)


def _short_folder() -> Path:
    # A Unix socket's path has 107 bytes; pytest's own tmp_path would use most of them up.
    return Path(tempfile.mkdtemp(prefix="lt"))


@pytest.fixture(scope="session", autouse=True)
def _session_home() -> Iterator[Path]:
    home = _short_folder()
    with pytest.MonkeyPatch.context() as patch:
        _move_home(patch, home)
        yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(autouse=True)
def home(_session_home: Path) -> Iterator[Path]:
    """The test's own HOME, with the XDG folders config, data, state, cache and run inside."""
    folder = _short_folder()
    with pytest.MonkeyPatch.context() as patch:
        _move_home(patch, folder)
        _hand_on_index(_session_home, folder)
        yield folder
        _hand_on_index(folder, _session_home)
    shutil.rmtree(folder, ignore_errors=True)


def _hand_on_index(giver: Path, taker: Path) -> None:
    """Let *taker* have the index of installed plugins: making it costs more than most tests.

    It holds no longer than what it was made from is unchanged; the kernel sees to that.
    """
    for file in giver.glob("cache/loom/plugins-*.json"):
        target = taker / "cache" / "loom" / file.name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        shutil.copy2(file, target)


# --- nothing is left behind ------------------------------------------------------------------


class _Complaints(logging.Handler):
    """Collects what asyncio can only log: errors that nobody looked at, tasks that vanished."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "never retrieved" in text or "was destroyed but it is pending" in text:
            self.found.append(text)


_tidied: list[Path] = []


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Once a file, set aside what is there: a collection after each test then sees what is new."""
    if _tidied[-1:] != [item.path]:
        _tidied[:] = [item.path]
        gc.unfreeze()
        gc.collect()
        gc.freeze()


@pytest.fixture
def _nothing_unheard() -> Iterator[None]:
    complaints = _Complaints()
    logger = logging.getLogger("asyncio")
    logger.addHandler(complaints)
    yield
    gc.collect()
    logger.removeHandler(complaints)
    if complaints.found:
        pytest.fail("asyncio complained:\n" + "\n".join(complaints.found), pytrace=False)


def _is_own(task: asyncio.Task[object]) -> bool:
    """Whether the test made *task*, and not the runner that drives tests and fixtures."""
    return not getattr(task.get_coro(), "__qualname__", "").startswith("TestRunner.")


@pytest.fixture
async def _every_task_ends(anyio_backend: str, _nothing_unheard: None) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    for _ in range(10):  # a task that was just cancelled needs a few turns of the loop
        await asyncio.sleep(0)
    if left := [t.get_name() for t in asyncio.all_tasks() - before if _is_own(t)]:
        pytest.fail(f"the test left tasks running: {', '.join(sorted(left))}", pytrace=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("corpora") == "first":
        _keep_first_cases(config, items)
    for item in items:
        if item.get_closest_marker("anyio") and isinstance(item, pytest.Function):
            # First in, last out: the fixtures of the test itself may own tasks until they end.
            item.fixturenames.insert(0, "_every_task_ends")


def _keep_first_cases(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept: dict[str, pytest.Item] = {}
    for item in items:
        is_case = item.get_closest_marker("corpus")
        kept.setdefault(item.nodeid.partition("[")[0] if is_case else item.nodeid, item)
    chosen = list(kept.values())
    config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
    items[:] = chosen


# --- markers that a report carries, so that the ledger can read them -------------------------


def pytest_itemcollected(item: pytest.Item) -> None:
    for kind in ("feature", "reliability"):
        for marker in item.iter_markers(kind):
            item.user_properties += [(kind, str(name)) for name in marker.args]


# --- with LOOM_TEST_REQUIRE=all a skip is a failure ------------------------------------------


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("LOOM_TEST_REQUIRE") != "all" or report.outcome != "skipped":
        return
    if hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ELSEWHERE):
        report.outcome = "failed"
        report.longrepr = f"skipped although LOOM_TEST_REQUIRE=all: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report
