"""One watched folder: hints come in, settle, are compared with what was known, and told.

What is told always comes from looking at the disk, never from a hint alone. That is why a lost
hint costs one look at the whole folder and nothing else: an overflow, a restart of Loom and a
folder that comes back are the same thing here, a rescan.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from anyio.lowlevel import checkpoint
from loom_kernel import BackpressureTimeout, Clock

from loom_plugin_files.changes import Change, Touched, compare, examine, examine_all
from loom_plugin_files.hints import HintQueue
from loom_plugin_files.memory import Memory
from loom_plugin_files.observer import FolderObserver
from loom_plugin_files.pending import Pending
from loom_plugin_files.selection import Selection
from loom_plugin_files.snapshot import Snapshot, scan

Emit = Callable[[str, dict[str, Any], str], Awaitable[object]]
"""Takes what happened (the last token of the topic), the data and the subject."""

_SAVE_EVERY = 30.0
_RESCAN_UNWATCHED_EVERY = 60.0


class Plan(NamedTuple):
    """What to watch and how; times in seconds."""

    folder: Path
    selection: Selection
    memory: Memory
    recursive: bool = True
    settle: float = 0.25
    recheck: float = 1.0
    capacity: int = 10_000


class Watch:
    """Tells `created`, `modified`, `moved` and `deleted` files of one folder to *emit*.

    Each is told at least once: after a crash, what was told since the last save is told again. A
    `rescanned` follows every look at the whole folder; `missing` says that the folder is not there.
    """

    def __init__(self, plan: Plan, clock: Clock, emit: Emit, log: logging.Logger) -> None:
        self._plan = plan
        self._clock = clock
        self._emit = emit
        self._log = log
        self._root = plan.folder
        self._identity: tuple[int, int] | None = None
        self._observer: FolderObserver | None = None
        self._known = Snapshot()
        self._pending = Pending(plan.settle)
        self._rescan: tuple[str, float] | None = None
        self._arrived = asyncio.Event()
        self._work = asyncio.Event()
        self._lock = asyncio.Lock()
        self._attaching = threading.Lock()
        self._is_closed = False
        self._queue: HintQueue
        self._missing = ""
        self._is_partial = False
        self._is_saved = True
        self._saved_at = self._rescanned_at = clock.monotonic()

    @property
    def problem(self) -> str:
        """Why the folder is not, or not wholly, watched; empty if all is well."""
        if self._missing:
            return f"{self._plan.folder}: {self._missing}"
        if self._is_partial:
            return f"{self._plan.folder}: too few watches; parts are only seen by rescans"
        return ""

    @property
    def file_count(self) -> int:
        return len(self._known)

    async def start(self) -> None:
        """Begin to watch. Changes from here on will be told, once `run` runs."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has ended: nobody waits for hints any more
                loop.call_soon_threadsafe(self._arrived.set)

        self._queue = HintQueue(self._plan.capacity, wake)
        known = await asyncio.to_thread(self._recall)
        await self._attach(await asyncio.to_thread(_identify, self._plan.folder))
        if known is None:
            # The first time, what is already there is not news.
            known = await asyncio.to_thread(self._take_stock) if self._observer else Snapshot()
        self._known = known
        await self._save()

    async def run(self) -> None:
        """Tell changes until cancelled, beginning with those made while Loom was down."""
        self._ask_rescan("start", after=0.0)
        if self._missing:
            await self._tell_missing()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_hints())
            tasks.create_task(self._report())
            tasks.create_task(self._patrol())

    async def aclose(self) -> None:
        """Stop watching and keep what is known. Cancel `run` first."""
        self._is_closed = True
        await asyncio.to_thread(self._release)
        if not self._is_saved:
            await self._save()

    # --- from hints to changes

    async def _take_hints(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            hints, loss = self._queue.take()
            now = self._clock.monotonic()
            for hint in hints:
                self._pending.touch(hint, now)
            if len(self._pending) > self._plan.capacity:
                self._pending.clear()
                loss = "overflow"
            if loss:
                self._is_partial |= loss == "unwatched"
                self._ask_rescan(loss)
            if hints:
                self._work.set()

    async def _report(self) -> None:
        while True:
            due = self._next_due()
            if due is None:
                await self._work.wait()
                self._work.clear()
                continue
            await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
            async with self._lock:
                await self._look(self._clock.monotonic())

    def _next_due(self) -> float | None:
        dues = (self._pending.next_due, self._rescan[1] if self._rescan else None)
        return min((due for due in dues if due is not None), default=None)

    def _ask_rescan(self, reason: str, after: float | None = None) -> None:
        wait = self._plan.settle if after is None else after
        self._rescan = (reason, self._clock.monotonic() + wait)
        self._work.set()

    async def _look(self, now: float) -> None:
        try:
            if self._rescan is not None and self._rescan[1] <= now:
                await self._look_everywhere(self._rescan[0])
            if touched := self._pending.take(now):
                await self._tell(await asyncio.to_thread(self._find, touched))
        except BackpressureTimeout as error:
            self._log.warning("changes wait for a slow subscriber: %s", error)
            self._ask_rescan("backpressure", after=self._plan.recheck)

    async def _look_everywhere(self, reason: str) -> None:
        self._rescan = None
        try:
            changes = await asyncio.to_thread(self._find_all, self._pending.paths)
        except OSError:  # the folder is gone; the patrol says so and notices when it is back
            self._ask_rescan(reason, after=self._plan.recheck)
            return
        counts = await self._tell(changes)
        self._rescanned_at = self._clock.monotonic()
        numbers = {kind: counts[kind] for kind in ("created", "modified", "moved", "deleted")}
        await self._announce("rescanned", reason=reason, files=len(self._known), **numbers)

    def _find(self, touched: list[Touched]) -> list[Change]:
        found = examine(self._root, self._plan.selection, touched, self._known)
        renamed = {hint.relative: hint.source for hint in touched if hint.source}
        return list(compare(self._known, found, renamed))

    def _find_all(self, held: set[str]) -> list[Change]:
        found = examine_all(self._root, self._plan.selection, self._known, held)
        return list(compare(self._known, found))

    # --- telling

    async def _tell(self, changes: Iterable[Change]) -> Counter[str]:
        counts: Counter[str] = Counter()
        for change in changes:
            path = _printable(self._plan.folder / change.relative)
            await self._emit(change.kind, self._describe(change, path), path)
            self._learn(change)  # only now: what could not be told is found again
            counts[change.kind] += 1
            await checkpoint()  # thousands in a row would hold up everyone else
        return counts

    def _describe(self, change: Change, path: str) -> dict[str, Any]:
        data: dict[str, Any] = {
            "path": path,
            "relative": _printable(change.relative),
            "size": change.entry.size,
            "mtime": change.entry.mtime_ns / 1e9,
        }
        if change.source:
            data["from"] = _printable(self._plan.folder / change.source)
        return data

    def _learn(self, change: Change) -> None:
        self._is_saved = False
        if change.source:
            del self._known[change.source]
        if change.kind == "deleted":
            del self._known[change.relative]
        else:
            self._known[change.relative] = change.entry

    async def _announce(self, what: str, **data: Any) -> None:
        folder = _printable(self._plan.folder)
        await self._emit(what, {"path": folder, **data}, folder)

    # --- the folder itself

    async def _patrol(self) -> None:
        while True:
            await self._clock.sleep(self._plan.recheck)
            async with self._lock:
                await self._check_folder()
                now = self._clock.monotonic()
                if not self._is_saved and now - self._saved_at >= _SAVE_EVERY:
                    await self._save()
            if self._is_partial and now - self._rescanned_at >= _RESCAN_UNWATCHED_EVERY:
                self._ask_rescan("unwatched")

    async def _check_folder(self) -> None:
        """Notice what causes no hint: the folder left, came back, or the observer died."""
        identity = await asyncio.to_thread(_identify, self._plan.folder)
        is_same = identity == self._identity
        if self._observer is not None and is_same and self._observer.is_alive:
            return
        was_missing = bool(self._missing)
        await asyncio.to_thread(self._release)
        await self._attach(identity)
        if not self._missing:
            self._ask_rescan("restarted" if is_same and not was_missing else "returned")
        elif not was_missing:
            await self._tell_missing()

    async def _tell_missing(self) -> None:
        self._log.warning("%s is not watched: %s", self._plan.folder, self._missing)
        await self._announce("missing", reason=self._missing)

    async def _attach(self, identity: tuple[int, int] | None) -> None:
        self._missing = "" if identity else "there is no such folder"
        if identity is None:
            return
        self._is_partial = False
        try:
            await asyncio.to_thread(self._observe)
            self._identity = identity
        except OSError as error:
            self._missing = error.strerror or type(error).__name__

    def _observe(self) -> None:
        # A cancelled wait does not end this thread: what it starts must be known to `_release`.
        with self._attaching:
            if self._is_closed:
                return
            # The kernel does not follow a link when it watches: the folder's own is resolved here.
            self._root = self._plan.folder.resolve()
            observer = FolderObserver(self._root, self._plan.selection, self._queue, self._log)
            observer.start(recursive=self._plan.recursive)
            self._observer = observer

    def _release(self) -> None:
        with self._attaching:
            observer, self._observer = self._observer, None
            if observer is not None:
                observer.stop()

    # --- what is remembered

    def _recall(self) -> Snapshot | None:
        try:
            return self._plan.memory.load()
        except (msgspec.DecodeError, OSError) as error:
            self._log.warning("what was known of %s is lost: %s", self._plan.folder, error)
            return None

    def _take_stock(self) -> Snapshot:
        return Snapshot(scan(self._root, self._plan.selection).files)

    async def _save(self) -> None:
        self._saved_at = self._clock.monotonic()
        try:
            await asyncio.to_thread(self._plan.memory.save, dict(self._known))
            self._is_saved = True
        except OSError as error:
            self._log.error("cannot keep what is known of %s: %s", self._plan.folder, error)


def _identify(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if folder.is_dir() else None


def _printable(path: Path | str) -> str:
    """Return the path as Unicode text, which a file's name need not be."""
    return os.fsencode(path).decode(errors="replace")
