"""What no Python file here may do, and the reviewed exceptions.

An exception is one table of `allowed.toml` with the exact number of places and the reason. Fewer
places than it says is a failure too, so the list can only shrink.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.repository import Source, dotted, imported, python_sources

ALLOWED = Path(__file__).with_name("allowed.toml")

BANNED_MODULES = {
    "pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "mock", "unittest.mock",
    "multiprocessing",
}  # fmt: skip
BANNED_CALLS = {
    "eval", "exec", "os.system", "os.popen", "os.fork", "os.forkpty", "yaml.load",
    "yaml.unsafe_load", "asyncio.wait_for", "asyncio.ensure_future", "time.sleep",
    "datetime.utcnow", "datetime.datetime.utcnow", "datetime.utcfromtimestamp",
    "datetime.datetime.utcfromtimestamp", "datetime.today", "datetime.datetime.today",
}  # fmt: skip
ZONED_CALLS = {"now": 1, "fromtimestamp": 2}  # how many arguments it takes to name a zone
QUEUES = {"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"}
EVERY_ADDRESS = re.compile(r"(^|//|@)(0\.0\.0\.0|\[::\])(?=[:/]|$)")
CLOCKS = {
    f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter") for unit in ("", "_ns")
}

Gate = Callable[[Source], Iterator[tuple[ast.AST, str]]]


def calls(source: Source) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func)


def banned_modules(source: Source) -> Iterator[tuple[ast.AST, str]]:
    for node, module, names in imported(source.tree):
        for found in {module, *(f"{module}.{name}" for name in names)} & BANNED_MODULES:
            yield node, f"import {found}"
        for found in {f"{module}.{name}" for name in names} & BANNED_CALLS:
            yield node, found


def banned_calls(source: Source) -> Iterator[tuple[ast.AST, str]]:
    for node, name in calls(source):
        if name in BANNED_CALLS:
            yield node, name
        method = name.rpartition("datetime.")[2]
        arguments = len(node.args) + len(node.keywords)
        if name.endswith(f"datetime.{method}") and arguments < ZONED_CALLS.get(method, 0):
            yield node, f"datetime.{method} without a time zone"


def banned_arguments(source: Source) -> Iterator[tuple[ast.AST, str]]:
    for node, _ in calls(source):
        for keyword in node.keywords:
            match keyword:
                case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                    yield node, "shell=True"
                case ast.keyword(arg="verify", value=ast.Constant(value=False)):
                    yield node, "verify=False"


def ownerless_tasks(source: Source) -> Iterator[tuple[ast.AST, str]]:
    for node, name in calls(source):
        owner, _, last = name.rpartition(".")
        is_group = owner and not owner.removesuffix("()").endswith(("asyncio", "loop"))
        if last == "create_task" and not is_group:
            yield node, "bare create_task"


def unbounded_queues(source: Source) -> Iterator[tuple[ast.AST, str]]:
    for node, name in calls(source):
        owner, _, last = name.rpartition(".")
        if last not in QUEUES or owner.split(".")[-1] not in {"", "asyncio", "queue"}:
            continue
        size = [*node.args[:1], *(one.value for one in node.keywords if one.arg == "maxsize")]
        if not size or (isinstance(size[0], ast.Constant) and size[0].value in {0, -1}):
            yield node, "unbounded queue"
    for node, name in calls(source):
        sizes = {dotted(one) for one in node.args[:1]}
        if name.endswith("create_memory_object_stream") and sizes & {"math.inf", "inf"}:
            yield node, "unbounded queue"


def every_address(source: Source) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(source.tree):
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and EVERY_ADDRESS.search(text):
            yield node, "listens on every address"


def swallowed_errors(source: Source) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and all(map(is_nothing, node.body)):
            yield node, "except: pass"
    for node, name in calls(source):
        broad = {dotted(one) for one in node.args} & {"Exception", "BaseException"}
        if broad and name.rpartition(".")[2] == "suppress":
            yield node, "except: pass"


def is_nothing(node: ast.stmt) -> bool:
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case _:
            return False


def own_clocks(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """In what is shipped, only the runtime's clock reads the time: it may be virtual."""
    if source.is_shipped:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and dotted(node) in CLOCKS:
                yield node, "reads the time itself"
        for node, module, names in imported(source.tree):
            if CLOCKS & {f"{module}.{name}" for name in names}:
                yield node, "reads the time itself"


GATES: list[Gate] = [
    banned_modules, banned_calls, banned_arguments, ownerless_tasks, unbounded_queues,
    every_address, swallowed_errors, own_clocks,
]  # fmt: skip


def findings(source: Source) -> Iterator[tuple[int, str]]:
    for gate in GATES:
        for node, what in gate(source):
            yield getattr(node, "lineno", 0), what


def reviewed() -> dict[tuple[str, str], int]:
    entries: list[dict[str, Any]] = tomllib.loads(ALLOWED.read_text(encoding="utf-8")).get(
        "allow", []
    )
    assert all(entry["why"].strip() for entry in entries), "an exception needs a reason"
    return {(entry["path"], entry["what"]): entry["places"] for entry in entries}


@pytest.mark.reliability("S19")
def test_nothing_forbidden_outside_the_reviewed_list() -> None:
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for source in python_sources():
        for line, what in findings(source):
            found[source.path, what].append(line)
    allowed = reviewed()
    complaints = [
        f"{path}:{','.join(map(str, sorted(lines)))}: {what}"
        f" ({len(lines)} places, {allowed.get((path, what), 0)} allowed)"
        for (path, what), lines in sorted(found.items())
        if len(lines) > allowed.get((path, what), 0)
    ]
    assert not complaints, "\n".join(complaints)
    stale = [
        f"{path}: {what}: allowed.toml says {places}, there are {len(found[path, what])}"
        for (path, what), places in allowed.items()
        if len(found[path, what]) < places
    ]
    assert not stale, "shrink the list:\n" + "\n".join(stale)


FORBIDDEN = [
    ("import pickle", "import pickle"),
    ("from unittest import mock", "import unittest.mock"),
    ("from multiprocessing import Process", "import multiprocessing"),
    ("from asyncio import wait_for", "asyncio.wait_for"),
    ("eval('1')", "eval"),
    ("yaml.load(text)", "yaml.load"),
    ("os.system('ls')", "os.system"),
    ("subprocess.run('ls', shell=True)", "shell=True"),
    ("client.get(url, verify=False)", "verify=False"),
    ("asyncio.create_task(work())", "bare create_task"),
    ("create_task(work())", "bare create_task"),
    ("self._loop.create_task(work())", "bare create_task"),
    ("asyncio.get_running_loop().create_task(work())", "bare create_task"),
    ("asyncio.wait_for(work(), 1)", "asyncio.wait_for"),
    ("asyncio.Queue()", "unbounded queue"),
    ("queue.SimpleQueue()", "unbounded queue"),
    ("asyncio.Queue(maxsize=0)", "unbounded queue"),
    ("anyio.create_memory_object_stream(math.inf)", "unbounded queue"),
    ("get('http://" + "0.0.0.0')", "listens on every address"),
    ("serve('0.0.0.0')", "listens on every address"),
    ("try: f()\nexcept OSError: pass", "except: pass"),
    ("with suppress(Exception): f()", "except: pass"),
    ("datetime.now()", "datetime.now without a time zone"),
    ("datetime.datetime.fromtimestamp(1)", "datetime.fromtimestamp without a time zone"),
    ("datetime.utcnow()", "datetime.utcnow"),
    ("time.sleep(1)", "time.sleep"),
    ("time.monotonic()", "reads the time itself"),
    ("from time import perf_counter", "reads the time itself"),
]
PERMITTED = [
    "group.create_task(work())",
    "self._tasks.create_task(work())",
    "asyncio.Queue(64)",
    "asyncio.Queue(maxsize=limit)",
    "recorder.wait_for('a.b')",
    "asyncio.timeout(1)",
    "datetime.now(UTC)",
    "datetime.fromtimestamp(1, tz=UTC)",
    "session.exec(query)",
    "with suppress(FileNotFoundError): f()",
    "try: f()\nexcept OSError as error: log(error)",
    "host.clock.time()",
    '"""Says what 0.0.0.0 would mean."""',
]


@pytest.mark.reliability("S19")
@pytest.mark.parametrize(("code", "what"), FORBIDDEN)
def test_a_gate_sees(code: str, what: str) -> None:
    assert {found for _, found in findings(Source("x/src/x/x.py", code))} == {what}


@pytest.mark.reliability("S19")
@pytest.mark.parametrize("code", PERMITTED)
def test_a_gate_lets_pass(code: str) -> None:
    assert not list(findings(Source("x/src/x/x.py", code)))
