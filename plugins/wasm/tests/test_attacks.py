"""Hostile modules: each is stopped within its limit, and the runtime does not notice."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from loom.contracts import ToolResult

from plugins.wasm.tests.site import WITH_WASI, App, build_c, build_wat, manifest
from plugins.wasm.tests.snippets import answering, core, packed

pytestmark = [
    pytest.mark.anyio, pytest.mark.reliability("S6"), pytest.mark.feature("SEC-03"),
]  # fmt: skip

LIMIT = 0.2
"""Seconds that a call may take."""
SLACK = 0.25
"""Seconds by which this machine may be late: other work shares it."""
IS_LONG = bool(os.environ.get("LOOM_TEST_LONG"))

LOG = '(import "loom" "log" (func $log (param i32 i32)))'
CONFIG = '(import "loom" "config" (func $config (param i32 i32 i32 i32) (result i32)))'

LOOP = core("(loop $l (br $l)) (i64.const 0)")
GROW = core(
    "(loop $l (br_if $l (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)"
)
GROW_AT_ONCE = core(
    f"(if (i32.ne (memory.grow (i32.const 32768)) (i32.const -1)) (then (unreachable)))"
    f"{packed('ok')}",
    memory='1) (data (i32.const 8192) "42"',
)
TABLE = core(
    "(if (i32.ne (table.grow $t (ref.null func) (i32.const 100000000)) (i32.const -1))"
    f"(then (unreachable))) {packed('ok')}",
    memory='1) (table $t 1 funcref) (data (i32.const 8192) "42"',
)
RECURSION = core(
    "(call $down (i64.const 0))",
    memory="1) (func $down (param i64) (result i64)"
    " (i64.add (i64.const 1) (call $down (i64.add (local.get 0) (i64.const 1))))",
)
TRAP = core("(unreachable)")
FLOOD = core(
    "(loop $l (call $log (i32.const 0) (i32.const 4096)) (br $l)) (i64.const 0)", before=LOG
)
OVERRUN = "(drop (call $config (i32.const 0) (i32.const 1) (i32.const -4) (i32.const -1)))"
LIES = {
    "log": (LOG, "(call $log (i32.const -16) (i32.const 64)) (i64.const 0)"),
    "config": (CONFIG, f"{OVERRUN}(i64.const 0)"),
    "answer": ("", "(i64.const 0x7fffffff00000010)"),
    "length": ("", "(i64.const 0x000000007fffffff)"),
}


@asynccontextmanager
async def attacked(
    app: App, text: str, **more: Any
) -> AsyncIterator[Callable[[], Awaitable[ToolResult]]]:
    """An app whose module is *text*; what is given calls it."""
    table = {"seconds": LIMIT, "memory": 16, "functions": ["log", "config"], **more}
    app.add(
        "evil", build_wat(text, app.folder / "evil.wasm"), manifest("run"), "component", **table
    )
    async with app.running(max_restarts=100):
        assert await app.state("evil") == ("ready", "")

        async def call() -> ToolResult:
            return await app.call("evil:run")

        yield call


def reason(result: ToolResult) -> str:
    assert result.error is not None, result
    return str(result.error.details["reason"])


class Lag:
    """How late the event loop was at most."""

    def __init__(self) -> None:
        self.worst = 0.0

    @asynccontextmanager
    async def watched(self, app: App) -> AsyncIterator[None]:
        watching = app.caller.spawn(self._watch(), "lag")
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        while True:
            due = time.monotonic() + 0.005
            await asyncio.sleep(0.005)
            self.worst = max(self.worst, time.monotonic() - due)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (LOOP, "ACTION_TIMEOUT", "timeout"),
        (GROW, "ACTION_ERROR", "memory"),
        (RECURSION, "ACTION_ERROR", "trap"),
        (TRAP, "ACTION_ERROR", "trap"),
        (FLOOD, "ACTION_TIMEOUT", "timeout"),
    ],
    ids=["loop", "memory", "recursion", "trap", "flood"],
)
async def test_it_is_stopped_within_its_limit_while_the_runtime_goes_on(
    app: App, text: str, code: str, said: str
) -> None:
    async with attacked(app, text) as call:
        lag = Lag()
        lasted: list[float] = []
        async with lag.watched(app):
            for _ in range(3):
                begin = time.monotonic()
                result = await call()
                lasted.append(time.monotonic() - begin)
                assert (result.code, reason(result)) == (code, said), result
        # One that was killed for its worker's lateness lets the next wait for a new worker.
        assert min(lasted) < LIMIT + 0.05 + SLACK
        assert max(lasted) < 5.0
        assert lag.worst < 0.05 + SLACK
        assert (await app.state("evil"))[0] == "ready"


@pytest.mark.parametrize("text", [GROW_AT_ONCE, TABLE], ids=["memory", "table"])
async def test_more_than_it_may_have_is_refused_at_once(app: App, text: str) -> None:
    async with attacked(app, text) as call:
        assert (await call()).output == 42


@pytest.mark.parametrize("lie", LIES)
async def test_no_place_outside_its_memory_is_read_or_written(app: App, lie: str) -> None:
    before, body = LIES[lie]
    async with attacked(app, core(body, before=before)) as call:
        result = await call()
        assert result.code == "ACTION_ERROR"
        assert result.error is not None
        assert any(word in result.error.message for word in ("outside", "longer")), result


async def test_a_host_call_that_sleeps_is_killed_with_its_worker(app: App) -> None:
    module = build_wasi(app)
    table = {"seconds": LIMIT, "functions": ["wasi"]}
    app.add("sleepy", module, manifest("probe", "doze"), "component", **table)
    async with app.running(max_restarts=100):
        begin = time.monotonic()
        for _ in range(2):
            result = await app.call("sleepy:doze", timeout=20.0)
            assert (result.code, reason(result)) == ("ACTION_TIMEOUT", "timeout")
        assert time.monotonic() - begin < 5.0  # the second waits for a new worker
        seen = await app.call("sleepy:probe", {"path": "/etc/passwd"}, timeout=20.0)
        assert seen.output == {"read": 0, "written": 0, "variables": 0}


@pytest.mark.feature("SEC-05")
async def test_wasi_gives_no_more_than_the_folders_that_were_granted(app: App) -> None:
    module = build_wasi(app)
    data = app.folder / "data"
    data.mkdir()
    (data / "a.txt").write_text("a", "utf-8")
    (data / "link").symlink_to("/etc/passwd")
    app.add("none", module, manifest("probe"), "component")
    app.add("reads", module, manifest("probe"), "component", read=[str(data)])
    app.add("writes", module, manifest("probe"), "component", write=[str(data)])
    async with app.running():
        state, said = await app.state("none")
        assert (state, "wasi_snapshot_preview1::fd_write" in said) == ("refused", True)
        for name, path, read, written in (
            ("reads", data / "a.txt", 1, 0),
            ("reads", data / "link", 0, 0),
            ("reads", data / "../state", 0, 0),
            ("reads", Path("/etc/passwd"), 0, 0),
            ("reads", data / "new.txt", 0, 0),
            ("writes", data / "link", 0, 0),
            ("writes", app.folder / "loom.toml", 0, 0),
            ("writes", data / "new.txt", 0, 1),
        ):
            found = await app.call(f"{name}:probe", {"path": str(path)})
            assert found.output == {"read": read, "written": written, "variables": 0}, path
        assert (data / "new.txt").exists()
        assert not (app.folder / "loom.toml").exists()


def build_wasi(app: App) -> Path:
    return build_c("wasi.c", app.folder / "wasi.wasm", WITH_WASI)


BOMBS: dict[str, tuple[Callable[[], str], str, str]] = {
    "imports": (
        lambda: "(module " + '(import "a" "b" (func))' * 50_000 + ")",
        "refused",
        "it imports what was not granted: a::b",
    ),
    "data": (
        lambda: '(module (memory 1) (data (i32.const 0) "' + "x" * (2 << 20) + '"))',
        "ready",
        "",
    ),
    "nesting": (
        lambda: core("(block " * 20_000 + ")" * 20_000 + "(i64.const 0)"),
        "ready",
        "",
    ),
    "compile": (
        lambda: core(
            "(local.get 0) " + "i32.const 3 i32.mul i32.popcnt " * 1_200_000 + "drop i64.const 0"
        ),
        "untrusted",
        "it was never trusted; look at it: loom wasm trust evil",
    ),
}


@pytest.mark.corpus
@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_module_made_to_hurt_the_compiler_hurts_nobody(app: App, bomb: str) -> None:
    make, *expected = BOMBS[bomb]
    app.add("evil", build_wat(make(), app.folder / "evil.wasm"), manifest("run"), "component")
    plain = build_wat(answering("1"), app.folder / "plain.wasm")
    app.add("plain", plain, manifest("run"), "component")
    async with app.running(trust=False, compile_seconds=1):
        await app.trust("plain")
        lag = Lag()
        begin = time.monotonic()
        async with lag.watched(app):
            trusting = app.owner.spawn(app.trust("evil"), "trust")
            assert (await app.call("plain:run")).output == 1
            answer = await trusting
        assert time.monotonic() - begin < 20
        assert lag.worst < 0.05 + SLACK
        assert await app.state("evil") == tuple(expected)
        assert bomb != "compile" or "processor time" in answer["message"], answer
        assert (await app.call("plain:run")).output == 1


async def test_memory_stays_where_it_was_over_many_traps(app: App) -> None:
    rounds = 1000 if IS_LONG else 200
    async with attacked(app, TRAP) as call:
        for _ in range(20):
            await call()
        before = workers_memory(), psutil.Process().memory_info().rss
        for _ in range(rounds):
            assert (await call()).code == "ACTION_ERROR"
        after = workers_memory(), psutil.Process().memory_info().rss
        grown = [(new - old) >> 20 for new, old in zip(after, before, strict=True)]
        assert all(abs(mib) <= 16 for mib in grown), grown


def workers_memory() -> int:
    """Bytes that all workers below this process occupy."""
    total = 0
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has just ended
            if "loom_plugin_wasm.worker" in child.cmdline():
                total += child.memory_info().rss
    return total


async def test_a_module_whose_workers_keep_dying_is_left_alone(app: App) -> None:
    module = build_wasi(app)
    app.add("sleepy", module, manifest("doze"), "component", seconds=0.05, functions=["wasi"])
    async with app.running(max_restarts=1):
        codes = [(await app.call("sleepy:doze", timeout=20.0)).code for _ in range(3)]
        state, said = await app.state("sleepy")
    assert codes == ["ACTION_TIMEOUT", "ACTION_TIMEOUT", "PROVIDER_UNAVAILABLE"]
    assert (state, said) == ("quarantined", "it did not answer in time")


@pytest.mark.parametrize("export", ["spin", "grow"])
async def test_extism_keeps_the_same_limits(app: App, export: str) -> None:
    module = build_c("words.c", app.folder / "words.wasm")
    app.add("words", module, manifest("spin", "grow", "echo"), seconds=LIMIT, memory=16)
    async with app.running():
        begin = time.monotonic()
        result = await app.call(f"words:{export}")
        assert time.monotonic() - begin < LIMIT + 0.05 + SLACK
        expected = {"spin": ("ACTION_TIMEOUT", "timeout"), "grow": ("ACTION_ERROR", "memory")}
        assert (result.code, reason(result)) == expected[export], result
        assert (await app.call("words:echo", {"a": 1})).output == {"a": 1}


@pytest.mark.parametrize("body", ["table", "start"])
async def test_extism_s_own_gaps_end_with_the_worker_and_not_with_the_runtime(
    app: App, body: str
) -> None:
    texts = {
        "table": '(module (memory (export "memory") 1) (table $t 1 funcref) (func (export "run")'
        " (result i32) (loop $l (br_if $l (i32.ne (table.grow $t (ref.null func)"
        " (i32.const 1000000)) (i32.const -1)))) (i32.const 1)))",
        "start": '(module (memory (export "memory") 1) (func $s (loop $l (br $l))) (start $s)'
        ' (func (export "run") (result i32) (i32.const 1)))',
    }
    app.add(
        "evil", build_wat(texts[body], app.folder / "evil.wasm"), manifest("run"), seconds=LIMIT
    )
    async with app.running(max_restarts=100):
        for _ in range(2):
            result = await app.call("evil:run", timeout=20.0)
            assert result.code in ("ACTION_ERROR", "ACTION_TIMEOUT"), result
        assert workers_memory() < 512 << 20
