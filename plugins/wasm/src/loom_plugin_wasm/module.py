"""One module, from its file to its running workers."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
from loom.contracts import ErrorCode, ToolError
from loom.pins import Pins, fingerprint
from loom_kernel import ConfigError, Host, LoomError

from loom_plugin_wasm import cache
from loom_plugin_wasm.access import Access, refused_imports
from loom_plugin_wasm.launching import Launcher
from loom_plugin_wasm.manifests import ModuleManifest, read_module_manifest
from loom_plugin_wasm.pool import Pool, Quarantined
from loom_plugin_wasm.process import Answer, Tell, Worker, WorkerGone
from loom_plugin_wasm.restarts import Restarts
from loom_plugin_wasm.settings import Settings, Table
from loom_plugin_wasm.worker.orders import LARGEST

State = Literal["loading", "ready", "untrusted", "refused", "failed", "disabled"]
LARGEST_MODULE = 64 << 20
COMPILE_GRACE = 10.0
"""Seconds of real time that compiling may take beyond its processor time."""
LOAD_TIMEOUT = 10.0
_CODES: dict[str, ErrorCode] = {"timeout": "ACTION_TIMEOUT"}


class Examined(msgspec.Struct, frozen=True):
    """A module as it is on disk now."""

    content: bytes
    manifest: ModuleManifest
    record: dict[str, Any]
    """What `tools.lock` keeps of it: the digests, and what it asks for."""
    cache: Path


class Refusal(LoomError):
    """A module is not loaded: *state* says which kind of reason it is."""

    def __init__(self, state: State, reason: str) -> None:
        self.state = state
        self.reason = reason
        super().__init__(reason)


class GuestModule:
    """What `[wasm.<name>]` names. It is loaded if what is on disk is what was trusted."""

    def __init__(self, host: Host, name: str, table: Table, pins: Pins) -> None:
        self.name = name
        self.table = table
        self.manifest = ModuleManifest()
        self.digest = ""
        """SHA-256, in hex, of the module that is loaded."""
        self._reason = ""
        self._host = host
        self._pins = pins
        self._state: State = "loading" if table.enabled else "disabled"
        self._pool: Pool | None = None

    @property
    def state(self) -> str:
        """The state, as people read it."""
        is_lost = self._pool is not None and self._pool.reason
        return "quarantined" if is_lost else self._state

    @property
    def reason(self) -> str:
        """Why it is in that state; empty = all is well."""
        return self._reason or (self._pool.reason if self._pool is not None else "")

    async def load(self) -> None:
        """Examine the module and start its workers; `state` and `reason` tell how it went."""
        await self.stop()
        if not self.table.enabled:
            return
        try:
            found = await asyncio.to_thread(self.examine)
            await self._admit(found)
            self.manifest, self._state, self._reason = found.manifest, "ready", ""
            self.digest = found.record["sha256"]
        except Refusal as refusal:
            self._state, self._reason = refusal.state, refusal.reason
        except (LoomError, OSError) as error:
            self._state, self._reason = "failed", str(error)

    def examine(self) -> Examined:
        """Read it. Nothing of it runs, and nothing is compiled. Blocks.

        Raises:
            ConfigError: it cannot be read.
        """
        try:
            with Path(self.table.module).open("rb") as file:
                content = file.read(LARGEST_MODULE + 1)
        except OSError as error:
            text = f"[wasm.{self.name}]: {self.table.module}: {error.strerror}"
            raise ConfigError(text) from None
        if len(content) > LARGEST_MODULE:
            raise ConfigError(f"[wasm.{self.name}]: the module is over {LARGEST_MODULE >> 20} MiB")
        manifest = read_module_manifest(self.name, self.table)
        digest = sha256(content).hexdigest()
        record = {
            "sha256": digest,
            "manifest": fingerprint(msgspec.to_builtins(manifest)),
            "asks": manifest.asks.words(),
        }
        folder = cache.place(self._host.paths.cache, digest, self.table.kind)
        return Examined(content, manifest, record, folder)

    async def report(self, found: Examined) -> cache.Report:
        """Imports and exports of *found*, compiled now if it never was.

        Raises:
            WorkerGone: it cannot be compiled within the limits.
            LoomError, OSError: nothing can be started that compiles it.
        """
        known = await asyncio.to_thread(cache.find_report, found.cache)
        if known is not None:
            return known
        await asyncio.to_thread(cache.prepare, found.cache)
        settings: Settings = self._host.settings
        launcher = Launcher(self._host, self.name, self.table, found.cache)
        worker = Worker(await launcher.start_compiler())
        try:
            frame = launcher.frame("examine", found.content)
            answer = await worker.ask(frame, settings.compile_seconds + COMPILE_GRACE)
        finally:
            await worker.aclose()
        if answer.code != "ok":
            raise WorkerGone(f"it cannot be compiled: {answer.reason}")
        report = cache.Report(answer.imports, answer.exports)
        await asyncio.to_thread(cache.keep, found.cache, report)
        return report

    async def _admit(self, found: Examined) -> None:
        """Start workers of *found*, if it is trusted and needs no more than was granted."""
        pin = await asyncio.to_thread(self._pins.get, self.name)
        if pin != found.record:
            what = "has changed since it was trusted" if pin else "was never trusted"
            raise Refusal("untrusted", f"it {what}; look at it: loom wasm trust {self.name}")
        granted = Access.of(self.table)
        if missing := found.manifest.asks.missing(granted):
            text = f"it asks for what [wasm.{self.name}] does not grant: {', '.join(missing)}"
            raise Refusal("refused", text)
        report = await self.report(found)
        if refused := refused_imports(report.imports, granted):
            more = f" and {len(refused) - 10} more" if len(refused) > 10 else ""
            names = ", ".join(name[:100] for name in refused[:10])
            raise Refusal("refused", f"it imports what was not granted: {names}{more}")
        await self._open(found)

    async def _open(self, found: Examined) -> None:
        settings: Settings = self._host.settings
        launcher = Launcher(self._host, self.name, self.table, found.cache)
        frame = launcher.frame("load", found.content)

        async def start() -> Worker:
            return await Worker.load(await launcher.start(), frame, LOAD_TIMEOUT)

        restarts = Restarts(settings.max_restarts, settings.restart_window)
        pool = Pool(self._host, self.name, start, self.table.instances, restarts)
        try:
            await pool.open()
        except BaseException:
            await pool.aclose()
            raise
        self._pool = pool

    async def call(self, tool: str, export: str, content: bytes, tell: Tell | None = None) -> bytes:
        """What *export* answers to *content*; *tell* hears of progress.

        Raises:
            ToolError: it does not; the code says why.
        """
        if self._pool is None:
            raise ToolError(tool, "PROVIDER_UNAVAILABLE", f"{self.state}: {self.reason}")
        if len(content) > LARGEST:
            text = f"the arguments are longer than {LARGEST} bytes"
            raise ToolError(tool, "INVALID_PARAMS", text)
        try:
            answer = await self._pool.call(export, content, self.table.seconds, tell)
        except Quarantined as error:
            raise ToolError(tool, "PROVIDER_UNAVAILABLE", str(error)) from None
        except WorkerGone as gone:
            code: ErrorCode = "ACTION_TIMEOUT" if gone.is_late else "ACTION_ERROR"
            details = {"reason": "timeout" if gone.is_late else "worker"}
            raise ToolError(tool, code, gone.reason, details) from None
        return self._content(tool, answer)

    def _content(self, tool: str, answer: Answer) -> bytes:
        if answer.code == "ok":
            return answer.body
        reason = answer.reason
        if answer.code == "timeout":
            reason = f"it took longer than {self.table.seconds:g} s"
        elif answer.code == "memory":
            reason = f"{reason}: {self.table.memory} MiB"
        code = _CODES.get(answer.code, "ACTION_ERROR")
        raise ToolError(tool, code, reason, {"reason": answer.code})

    async def stop(self) -> None:
        """End its workers."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()
