"""Loading plugins: each import isolated, each hook called alone, each failure named.

A plugin that cannot be used is quarantined with the reason and everything else goes on. Imports
run in a thread with a time limit, because an import may hang; a plugin that replaced parts of
the standard library while it was imported is refused and its changes are taken back.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable, Mapping
from threading import Thread  # bound now: an import that runs meanwhile may replace it
from typing import Any

import msgspec
import pluggy

from loom_kernel.catalogue import Entry
from loom_kernel.errors import PluginError
from loom_kernel.hooks import HOOK_API, PROJECT, Hooks
from loom_kernel.manifest import Manifest, nearest, read_manifest

log = logging.getLogger("loom.plugins")

_GUARDED = (
    "asyncio", "builtins", "json", "logging", "os", "random", "selectors", "signal", "socket",
    "ssl", "subprocess", "threading", "time",
)  # fmt: skip


class Quarantined(msgspec.Struct, frozen=True):
    """A plugin that is not used, the step at which it failed, and why."""

    name: str
    stage: str
    reason: str
    distribution: str = ""
    version: str = ""


class Plugins:
    """The chosen plugins: manifests first, code when `load` is called."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = entries
        self.manifests: dict[str, Manifest] = {}
        self.modules: dict[str, Any] = {}
        self.quarantined: dict[str, Quarantined] = {}
        self._originals: dict[str, dict[str, Any]] = {}
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._unreadable: dict[str, PluginError] = {}
        for name, entry in entries.items():
            self._read(name, entry)

    def _read(self, name: str, entry: Entry) -> None:
        try:
            if entry["problem"]:
                raise PluginError(name, "discovery", entry["problem"])
            self.manifests[name] = read_manifest(name, entry["manifest"], HOOK_API)
        except PluginError as error:
            self._unreadable[name] = error

    @property
    def unreadable(self) -> Iterable[str]:
        """Installed plugins whose manifest cannot be used."""
        return self._unreadable.keys()

    def requirements(self, name: str) -> list[str]:
        """All that *name* requires, and what those require."""
        found: dict[str, None] = {}
        waiting = [name]
        while waiting:
            manifest = self.manifests.get(waiting.pop())
            for required in manifest.requires if manifest else ():
                if required not in found:
                    found[required] = None
                    waiting.append(required)
        return list(found)

    def quarantine(self, name: str, stage: str, reason: str) -> None:
        """Take *name* out of use."""
        entry = self.entries.get(name)
        self.quarantined[name] = Quarantined(
            name,
            stage,
            reason,
            entry["distribution"] if entry else "",
            entry["version"] if entry else "",
        )
        module = self.modules.pop(name, None)
        if module is not None and self._manager.is_registered(module):
            self._manager.unregister(module)
        log.warning("plugin %s is not used: %s: %s", name, stage, reason)

    def load(self, names: Iterable[str], seconds: float) -> None:
        """Import *names* and check their hooks; whatever fails is in `quarantined` afterwards.

        *seconds* bounds each import. After the first that hangs, the rest is imported side by
        side, so that any number of hanging plugins costs twice the limit.
        """
        wanted = []
        for name in sorted(names):
            if name in self._unreadable:
                error = self._unreadable[name]
                self.quarantine(name, error.stage, error.problem)
            elif name not in self.manifests:
                self.quarantine(
                    name, "discovery", f"it is not installed{nearest(name, list(self.manifests))}"
                )
            else:
                wanted.append(name)
        self._import(wanted, seconds)
        for step in (self._add_hookspecs, self._register):
            for name in sorted(self.modules):
                step(name)
        self._check_requirements()

    def call(self, name: str, hook: str, **arguments: Any) -> Any:
        """What *name* alone returns for *hook*; None if it does not implement it.

        Raises:
            PluginError: the implementation raised.
        """
        implementation = getattr(self.modules[name], hook, None)
        if implementation is None:
            return None
        others = [module for module in self.modules.values() if module is not self.modules[name]]
        caller = self._manager.subset_hook_caller(hook, others)
        try:
            results = caller(**arguments)
        except (Exception, SystemExit) as error:
            log.debug("%s of %s", hook, name, exc_info=error)
            raise PluginError(name, hook, describe(error)) from error
        return results[0] if results else None

    def in_order(self) -> list[str]:
        """The usable plugins, what they require or come `after` before them, else by name."""
        order: dict[str, None] = {}

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in order or name not in self.modules or name in path:
                return
            manifest = self.manifests[name]
            for earlier in sorted({*manifest.requires, *manifest.after}):
                visit(earlier, (*path, name))
            order[name] = None

        for name in sorted(self.modules):
            visit(name, ())
        return list(order)

    # -- imports -----------------------------------------------------------------------------

    def _import(self, names: list[str], seconds: float) -> None:
        hung: list[tuple[str, Thread]] = []
        for name in names:
            thread = self._start_import(name)
            if hung:
                hung.append((name, thread))
                continue
            thread.join(seconds)
            if thread.is_alive():
                hung.append((name, thread))
        patience = seconds
        for name, thread in hung:
            thread.join(patience)
            if thread.is_alive():
                patience = 0.0  # the others had as long meanwhile
                self.modules.pop(name, None)
                self.quarantine(name, "import", f"its import had not ended after {seconds:g} s")

    def _start_import(self, name: str) -> Thread:
        def run() -> None:
            module = None
            try:
                module = importlib.import_module(self.entries[name]["module"])
            except BaseException as error:  # noqa: BLE001  # SystemExit and worse: an import may do anything
                self.quarantine(name, "import", describe(error))
            self._restore(name)
            if name not in self.quarantined:
                self.modules[name] = module

        for guarded in _GUARDED:
            if guarded in sys.modules and guarded not in self._originals:
                self._originals[guarded] = dict(vars(sys.modules[guarded]))
        thread = Thread(target=run, name=f"loom-import-{name}", daemon=True)
        thread.start()
        return thread

    def _restore(self, importing: str) -> None:
        """Take back what was replaced in guarded modules, and quarantine who did it.

        Imports may run side by side, so it need not have been the plugin *importing*.
        """
        packages = {_package(entry["module"]): name for name, entry in self.entries.items()}
        replaced: dict[str, list[str]] = {}
        for module, originals in self._originals.items():
            present = vars(sys.modules[module])
            for name, value in originals.items():
                if name in present and present[name] is not value and not name.startswith("_"):
                    origin = _package(str(getattr(present[name], "__module__", "")))
                    culprit = packages.get(origin, importing)
                    replaced.setdefault(culprit, []).append(f"{module}.{name}")
                    setattr(sys.modules[module], name, value)
        for culprit, names in replaced.items():
            self.quarantine(culprit, "import", f"it replaced {', '.join(names)}")

    # -- hooks -------------------------------------------------------------------------------

    def _add_hookspecs(self, name: str) -> None:
        """Before anything is registered, so that each plugin answers for its own hooks."""
        specify = getattr(self.modules[name], "loom_add_hookspecs", None)
        try:
            for specs in specify() if specify else ():
                self._manager.add_hookspecs(specs)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # loading: it is quarantined
            self.quarantine(name, "loom_add_hookspecs", describe(error))

    def _register(self, name: str) -> None:
        """A wrong argument is pluggy's error; a misspelt hook it would leave unsaid."""
        module = self.modules[name]
        try:
            self._manager.register(module, name)
        except Exception as error:  # noqa: BLE001  # loading: it is quarantined
            self.quarantine(name, "hooks", describe(error))
            return
        known = [caller.name for caller in vars(self._manager.hook).values() if caller.spec]
        for caller in self._manager.get_hookcallers(module) or ():
            if caller.spec is None:
                hint = nearest(caller.name, known)
                self.quarantine(name, "hooks", f"there is no hook {caller.name!r}{hint}")
                return

    def _check_requirements(self) -> None:
        """Quarantine whatever requires a plugin that is not there, until nothing changes."""
        changed = True
        while changed:
            changed = False
            for name in sorted(self.modules):
                missing = [r for r in self.manifests[name].requires if r not in self.modules]
                if missing:
                    changed = True
                    self.quarantine(
                        name, "requires", f"it needs {', '.join(missing)}, which does not run"
                    )


def describe(error: BaseException) -> str:
    """One line about *error*: its type and text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _package(module: str) -> str:
    return module.partition(".")[0]
