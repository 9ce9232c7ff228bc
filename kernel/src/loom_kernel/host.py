"""The narrow thing that a plugin receives: what it may know, and what it may do.

Everything a host starts belongs to it and ends with it: subscriptions, tasks, scopes, services.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from random import Random
from typing import Any, TypeVar, Unpack

import msgspec

from loom_kernel.clock import Clock
from loom_kernel.envelope import Envelope, EnvelopeFields
from loom_kernel.errors import LoomError, ServiceMissing
from loom_kernel.exchange import Exchange, Identity, SubscribeOptions
from loom_kernel.paths import Paths
from loom_kernel.routing import Filter
from loom_kernel.subscription import Handler, Subscription

T = TypeVar("T")


class Health(msgspec.Struct, frozen=True):
    """How a plugin is, in its own words and figures."""

    healthy: bool = True
    message: str = "ok"
    metrics: dict[str, float] = {}


class World(msgspec.Struct):
    """What all hosts of one runtime share."""

    bus: Exchange
    clock: Clock
    paths: Paths
    random: Random
    services: dict[type[Any], object] = {}
    names: dict[str, str] = {}
    """Names that only scopes of one host may take: name → that host's. Plugins' are among them."""
    status: Callable[[], dict[str, Any]] = dict
    """What the runtime says of itself: see `Runtime.status`."""
    stop_requested: asyncio.Event | None = None


class Host:
    """A plugin's side of the runtime. Whatever it publishes carries its name as sender."""

    def __init__(
        self,
        world: World,
        name: str,
        *,
        settings: Any = None,
        tables: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        """The plugin's settings, validated: an instance of what `loom_settings` named."""
        self.tables: Mapping[str, Any] = tables or {}
        """The tables of the configuration that the manifest claims, as they were written."""
        self.clock = world.clock
        self.random = world.random
        self.paths = world.paths.of(name)
        self.log = logging.getLogger(f"loom.{name}")
        self.world = world
        who = Identity(name, f"loom://{world.bus.node}/{name}")
        self.publish = partial(world.bus.publish, who)
        """`Bus.publish` under this name: `await host.publish(topic, data, type, **fields)`."""
        self.publish_nowait = partial(world.bus.publish_nowait, who)
        """`Bus.publish_nowait` under this name."""
        self.request = partial(world.bus.request, who)
        """`Bus.request` under this name: `await host.request(topic, data, timeout=5.0)`."""
        self._subscriptions: dict[Subscription, None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._scopes: dict[Host, None] = {}
        self._leave_parent: Callable[[], object] = int
        self._undo: list[Callable[[], object]] = []
        self._health: Callable[[], Health] = Health

    # -- events ------------------------------------------------------------------------------

    def subscribe(self, *patterns: str, **options: Unpack[SubscribeOptions]) -> Subscription:
        """`Bus.subscribe`; iterate over the result. It ends with this host at the latest."""
        subscription = self.world.bus.subscribe(self.name, patterns, **options)
        self._subscriptions = {s: None for s in self._subscriptions if not s.is_closed}
        self._subscriptions[subscription] = None
        return subscription

    def on(
        self, *patterns: str, handler: Handler, **options: Unpack[SubscribeOptions]
    ) -> Subscription:
        """Call *handler* with what arrives, one after the other, until the result is closed."""
        subscription = self.subscribe(*patterns, **options)
        subscription.has_handler = True  # also before its task has its first turn
        self.spawn(subscription.serve(handler), subscription.name)
        return subscription

    async def reply(
        self,
        envelope: Envelope,
        data: Any = None,
        type: str = "",
        **fields: Unpack[EnvelopeFields],
    ) -> int:
        """Answer *envelope* where it wants its answer; 0 means that nobody waits any more."""
        fields.setdefault("correlation_id", envelope.correlation_id)
        fields.setdefault("thread_id", envelope.thread_id)
        return await self.publish(envelope.reply_to, data, type or "reply", **fields)

    def add_filter(self, passed: Filter, *patterns: str, order: int = 0) -> None:
        """`Bus.add_filter`, removed with this host."""
        self._undo.append(self.world.bus.add_filter(passed, patterns or (">",), order=order))

    # -- work --------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run *work* as a task of this host; a failure is logged and told on `$loom.error`."""
        contained = _contained(work)
        task = asyncio.get_running_loop().create_task(contained, name=f"{self.name}/{name}")
        self._tasks.add(task)
        task.add_done_callback(partial(self._finished, work))
        return task

    def _finished(self, work: Coroutine[Any, Any, Any], task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        work.close()  # cancelled before its first step, it was never begun
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("task %s failed", task.get_name(), exc_info=error)
            self.tell_error("ACTION_ERROR", error, task=task.get_name())

    def tell_error(self, code: str, error: BaseException, /, **details: str) -> None:
        """One event on `$loom.error`: what failed here, with its code and what places it."""
        self.world.bus.publish_error(code, self.name, error, **details)

    def scope(self, name: str) -> Host:
        """A host within this one that publishes as *name*; end it with `aclose`.

        Raises:
            LoomError: the name is a plugin's, or kept by one.
        """
        if (holder := self.world.names.get(name, self.name)) != self.name:
            raise LoomError(f"{name!r} is a name of plugin {holder!r}; use another one")
        scope = Host(self.world, name, settings=self.settings, tables=self.tables)
        scope.paths = self.paths
        scope._leave_parent = partial(self._scopes.pop, scope, None)
        self._scopes[scope] = None
        return scope

    # -- others ------------------------------------------------------------------------------

    def provide(self, contract: type[T], service: T) -> None:
        """Offer *service* to plugins that require *contract* (a `Protocol`).

        Raises:
            LoomError: another plugin provides it already.
        """
        if contract in self.world.services:
            raise LoomError(f"{contract.__name__} is provided already; {self.name!r} comes second")
        self.world.services[contract] = service
        self._undo.append(partial(self.world.services.pop, contract, None))

    def require(self, contract: type[T]) -> T:
        """The service that a running plugin provides for *contract*.

        Raises:
            ServiceMissing: nobody provides it.
        """
        service = self.world.services.get(contract)
        if service is None:
            raise ServiceMissing(contract.__name__, self.name)
        return service  # type: ignore[return-value]  # `provide` checked the pair

    def driver(self, group: str, name: str) -> Any:
        """What the installed driver *name* of *group* (an entry-point group) is, loaded.

        Raises:
            LoomError: there is none, or it cannot be imported; the message lists the others.
        """
        from stevedore import DriverManager, ExtensionManager
        from stevedore.exception import NoMatches

        try:
            return DriverManager(group, name, invoke_on_load=False).driver
        except (NoMatches, ImportError, RuntimeError) as error:
            known = ", ".join(sorted(ExtensionManager(group).names())) or "none"
            raise LoomError(
                f"{self.name!r} cannot use driver {name!r} of {group!r} ({error}); "
                f"installed: {known}"
            ) from error

    def status(self) -> dict[str, Any]:
        """What the runtime says of itself, as JSON-shaped data: see `Runtime.status`."""
        return self.world.status()

    def stop_runtime(self) -> None:
        """Ask whoever runs the runtime to stop it in order."""
        if self.world.stop_requested is not None:
            self.world.stop_requested.set()

    def health(self, check: Callable[[], Health]) -> None:
        """Let *check* say how this plugin is whenever somebody asks."""
        self._health = check

    def check_health(self) -> Health:
        """Ask the check; one that raises is unhealthy."""
        try:
            return self._health()
        except Exception as error:
            self.log.exception("health check failed")
            return Health(healthy=False, message=f"health check failed: {error!r}")

    # -- the end -----------------------------------------------------------------------------

    def tasks(self) -> list[str]:
        """The names of the tasks that run, those of scopes included."""
        own = [task.get_name() for task in self._tasks]
        return own + [name for scope in self._scopes for name in scope.tasks()]

    async def aclose(self, grace: float = 2.0) -> list[str]:
        """End all that this host started; return the tasks still running after *grace* seconds."""
        stuck: list[str] = []
        for scope in list(self._scopes):
            stuck += await scope.aclose(grace)
        for subscription in list(self._subscriptions):
            subscription.close()
        self._subscriptions.clear()
        for undo in self._undo:
            undo()
        self._undo.clear()
        stuck += await self._cancel_tasks(grace)
        self._leave_parent()
        return stuck

    async def _cancel_tasks(self, grace: float) -> list[str]:
        current = asyncio.current_task()
        tasks = {task for task in self._tasks if task is not current}
        if not tasks:
            return []
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=grace)
        return [task.get_name() for task in left]


async def _contained(work: Coroutine[Any, Any, T]) -> T:
    """Run *work*; an attempt to end the process is a failure of *work* alone."""
    try:
        return await work
    except SystemExit as error:
        raise LoomError(f"it called sys.exit({error.code!r})") from error
