"""The runtime: one bus, the chosen plugins attached to it, and an orderly end.

    starting → ready → draining → stopped

Each plugin lives in one task of its own that enters and leaves what `loom_attach` returns, so
what must be left by the task that entered it (cancel scopes, clients, servers) is.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, Literal, Self

import msgspec

from loom_kernel.bus import RUNTIME, Bus
from loom_kernel.catalogue import Entry, installed
from loom_kernel.causation import detached
from loom_kernel.clock import Clock, RealClock
from loom_kernel.config import BusSettings, Config, KernelSettings
from loom_kernel.errors import LoomError, PluginError, StartRefused
from loom_kernel.host import Health, Host, World
from loom_kernel.paths import Paths
from loom_kernel.plugins import Plugins, Quarantined, describe
from loom_kernel.subscription import CAPACITY

log = logging.getLogger("loom.runtime")

State = Literal["starting", "ready", "draining", "stopped"]


class StopReport(msgspec.Struct, frozen=True):
    """What could not be ended in time."""

    undelivered: dict[str, int] = {}
    """Subscription → envelopes that nobody handled."""
    stuck: tuple[str, ...] = ()
    """Tasks that did not end when cancelled."""

    @property
    def is_clean(self) -> bool:
        """Whether everything ended by itself."""
        return not (self.undelivered or self.stuck)


class _Attached:
    """One plugin's owner task."""

    def __init__(self, host: Host, manager: AbstractAsyncContextManager[None]) -> None:
        self.host = host
        self.failure: BaseException | None = None
        self.stuck: list[str] = []
        self._manager = manager
        self._is_ready = asyncio.Event()
        self._may_leave = asyncio.Event()
        self._task = host.spawn(self._live(), "attach")

    async def _live(self) -> None:
        try:
            with detached():
                async with self._manager:
                    self._is_ready.set()
                    await self._may_leave.wait()
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            self.failure = error
            if self._is_ready.is_set():
                log.error("plugin %s failed while it was detached", self.host.name, exc_info=error)
        finally:
            self._is_ready.set()

    async def entered(self, seconds: float) -> str:
        """Wait until it is ready; else return what kept it from that, and end what it began."""
        try:
            async with asyncio.timeout(seconds):
                await self._is_ready.wait()
        except TimeoutError:
            self.stuck = await self.leave(min(seconds, 1.0))
            return f"it was not ready after {seconds:g} s"
        if self.failure is None:
            return ""
        await self.host.aclose()
        return describe(self.failure)

    async def leave(self, seconds: float) -> list[str]:
        """Leave what was entered and end what is left; return what would not end."""
        self._may_leave.set()
        if not self._is_ready.is_set():
            self._task.cancel()
        await asyncio.wait({self._task}, timeout=seconds)
        return await self.host.aclose(seconds)


class Runtime:
    """A running Loom. Enter it to start, leave it to stop.

    *plugins* are the names to run; those that cannot are in `quarantined` once it is ready.

    Raises on entering:
        ConfigError: the configuration is wrong; nothing has been started.
        StartRefused: a plugin says that nothing may run without it; nothing is left running.
    """

    def __init__(
        self,
        paths: Paths,
        config: Config,
        plugins: Iterable[str] = (),
        *,
        profile: str = "",
        clock: Clock | None = None,
        seed: int | None = None,
        entries: Mapping[str, Entry] | None = None,
    ) -> None:
        self.profile = profile
        self.state: State = "starting"
        self.config = config
        self.paths = paths
        found = installed(str(paths.cache)) if entries is None else entries
        self.plugins = Plugins(found)
        config.check(self.plugins.manifests, self.plugins.unreadable)
        self._names = tuple(plugins)
        self._limits: KernelSettings = config.section("kernel", KernelSettings)
        self.clock = clock or RealClock()
        self.bus = _make_bus(self.clock, config.section("bus", BusSettings))
        self.stop_requested = asyncio.Event()
        """Set by a signal, a command or a plugin; whoever runs the runtime then calls `stop`."""
        self.world = World(self.bus, self.clock, paths, Random(seed))
        self.world.status, self.world.stop_requested = self.status, self.stop_requested
        self._started = 0.0
        self._attached: dict[str, _Attached] = {}
        self._stuck: list[str] = []

    @property
    def quarantined(self) -> dict[str, Quarantined]:
        """The plugins that were chosen and cannot be used, with the reasons."""
        return self.plugins.quarantined

    @property
    def attached(self) -> list[str]:
        """The plugins that run, in the order of attaching."""
        return list(self._attached)

    def health(self) -> dict[str, Health]:
        """Ask every running plugin how it is."""
        return {name: found.host.check_health() for name, found in self._attached.items()}

    def status(self) -> dict[str, Any]:
        """The runtime in JSON-shaped data: state, plugins with their health, accounts."""
        found: dict[str, Any] = msgspec.to_builtins(
            {
                "state": self.state,
                "profile": self.profile,
                "pid": os.getpid(),
                "uptime": self.clock.time() - self._started,
                "paths": {"state": str(self.paths.state), "project": str(self.paths.project or "")},
                "plugins": self.health(),
                "quarantined": self.quarantined,
                "queued": self.bus.queued,
                "topics": self.bus.topics(),
                "subscriptions": self.bus.subscriptions(),
            }
        )
        return found

    def host(self, name: str) -> Host:
        """A host that belongs to no plugin: for whoever embeds a runtime, and for tests."""
        return Host(self.world, name)

    async def start(self) -> None:
        """Load and attach the plugins, then announce `$loom.ready`.

        Raises:
            ConfigError: a plugin refuses its settings; nothing has been attached.
            StartRefused: a plugin lets nothing run without it; call `stop`.
        """
        self._started = self.clock.time()
        self.plugins.load(self._names, self._limits.import_timeout)
        hosts = {name: self._make_host(name) for name in self.plugins.in_order()}
        levels = self._levels(list(hosts))
        for level in levels:
            await self._attach([hosts[name] for name in level if name in self.plugins.modules])
        self.state = "ready"
        for lost in self.quarantined.values():
            await self._announce("$loom.plugin.quarantined", msgspec.to_builtins(lost))
        await self._announce("$loom.ready", {"profile": self.profile, "plugins": self.attached})

    async def stop(self, *, at_once: bool = False) -> StopReport:
        """Let handlers finish for `drain_timeout`, detach in reverse order, and end the rest."""
        self.state = "draining"
        await self._announce("$loom.stopping", {"at_once": at_once})
        if not at_once:
            await self._drain(self._limits.drain_timeout)
        undelivered = {s.name: s.queued for s in self.bus.subscriptions() if s.queued}
        for name in reversed(self.attached):
            self._stuck += await self._attached.pop(name).leave(self._limits.detach_timeout)
        self.bus.close()
        for task in self._stuck:
            log.error("task %s does not end although it was cancelled", task)
        for name, count in undelivered.items():
            log.warning("%d events were not delivered to %s", count, name)
        self.state = "stopped"
        return StopReport(undelivered, tuple(self._stuck))

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop(at_once=True)
            raise
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.stop(at_once=failure[0] is not None)

    # -- attaching ---------------------------------------------------------------------------

    def _make_host(self, name: str) -> Host:
        self.world.names[name] = name
        manifest = self.plugins.manifests[name]
        tables = {t: self.config.values[t] for t in manifest.tables if t in self.config.values}
        raw = self.config.settings(manifest)
        try:
            shape = self.plugins.call(name, "loom_settings")
            raw = _convert(raw, shape) if shape else raw
        except PluginError as error:
            self.plugins.quarantine(name, error.stage, error.problem)
        except (TypeError, ValueError) as error:
            if raw != manifest.defaults():  # else the plugin disagrees with its own manifest
                problem = f"[plugins.{name}]: {error}"
                raise self.config.complain(("plugins", name), problem) from error
            self.plugins.quarantine(name, "loom_settings", describe(error))
        return Host(self.world, name, settings=raw, tables=tables)

    def _levels(self, order: list[str]) -> list[list[str]]:
        """The plugins in groups, each after all that its members require or come after."""
        depth: dict[str, int] = {}
        for name in order:
            manifest = self.plugins.manifests[name]
            earlier = (depth.get(r, -1) for r in (*manifest.requires, *manifest.after))
            depth[name] = 1 + max(earlier, default=-1)
        return [
            [name for name in order if depth[name] == level]
            for level in range(max(depth.values(), default=-1) + 1)
        ]

    def _attaches(self, name: str) -> bool:
        """Whether *name* should run by now; a plugin that only brings commands never does."""
        module = self.plugins.modules.get(name)
        return module is None or hasattr(module, "loom_attach")

    async def _attach(self, hosts: list[Host]) -> None:
        """Attach side by side what does not depend on each other."""
        entering: dict[str, _Attached] = {}
        for host in hosts:
            required = self.plugins.manifests[host.name].requires
            missing = [r for r in required if r not in self._attached and self._attaches(r)]
            if missing:
                self.plugins.quarantine(
                    host.name, "requires", f"it needs {', '.join(missing)}, which does not run"
                )
                continue
            try:
                manager = self.plugins.call(host.name, "loom_attach", host=host)
                if manager is not None:
                    entering[host.name] = _Attached(host, manager)
                elif self._attaches(host.name):
                    problem = "it returned nothing; decorate it with @hookimpl"
                    self.plugins.quarantine(host.name, "loom_attach", problem)
            except (PluginError, TypeError) as error:
                self.plugins.quarantine(host.name, "attach", str(error))
        seconds = self._limits.attach_timeout
        failures = await asyncio.gather(*(one.entered(seconds) for one in entering.values()))
        for (name, attached), failure in zip(entering.items(), failures, strict=True):
            self._stuck += attached.stuck
            if failure:
                self.plugins.quarantine(name, "attach", failure)
            else:
                self._attached[name] = attached
        for attached in entering.values():
            if isinstance(attached.failure, StartRefused):
                raise attached.failure

    # -- the end -----------------------------------------------------------------------------

    async def _drain(self, seconds: float) -> None:
        """Let handlers finish; meanwhile only they may publish."""
        try:
            async with asyncio.timeout(seconds):
                with self.bus.roots_refused():
                    while self.bus.busy():  # noqa: ASYNC110  # no one event says that all are
                        await asyncio.sleep(0.005)
        except TimeoutError:
            busy = self.bus.busy()
            named = ", ".join(busy[:20]) + (f" and {len(busy) - 20} more" if busy[20:] else "")
            log.warning("handlers still run after %g s and are cancelled: %s", seconds, named)

    async def _announce(self, topic: str, data: Any) -> None:
        try:
            with detached():
                await self.bus.publish(RUNTIME, topic, data)
        except LoomError as error:
            log.warning("%s was not announced: %s", topic, error)


def _make_bus(clock: Clock, settings: BusSettings) -> Bus:
    return Bus(
        clock, capacity={qos: getattr(settings, qos) for qos in CAPACITY},
        threshold=settings.threshold, credit_timeout=settings.credit_timeout,
        max_payload=settings.max_payload,
    )  # fmt: skip


def _convert(raw: Mapping[str, Any], shape: Any) -> Any:
    """*raw* as an instance of *shape*, a `msgspec.Struct` or a pydantic model."""
    validate: Callable[[Any], Any] | None = getattr(shape, "model_validate", None)
    return validate(raw) if validate else msgspec.convert(raw, shape)
