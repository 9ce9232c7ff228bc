"""Contract suites: what every plugin must do, checked on the real thing."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loom_kernel.catalogue import installed
from loom_kernel.hooks import HOOK_API
from loom_kernel.host import Host
from loom_kernel.manifest import read_manifest
from loom_kernel.testing.harness import running


async def check_plugin_contract(
    name: str, config: Mapping[str, Any] | None = None, project: Path | None = None
) -> None:
    """Check an installed plugin: manifest, settings, commands, attach, detach, attach again.

    Raises:
        AssertionError: with what it should do.
    """
    entry = installed().get(name)
    assert entry is not None, f"plugin {name!r} is not installed (entry point loom.plugins)"
    assert not entry["problem"], entry["problem"]
    manifest = read_manifest(name, entry["manifest"], HOOK_API)
    assert manifest.summary, "the manifest's summary says in one line what the plugin is for"
    for setting, declared in manifest.settings.items():
        assert declared.help, f"setting {setting!r} has no help"
    for _ in range(2):
        async with running(name, *manifest.requires, config=config, project=project) as runtime:
            assert name in runtime.attached or not _attaches(runtime.plugins.modules[name])
            _check_settings(runtime.plugins.call(name, "loom_settings"), set(manifest.settings))
            _check_commands(runtime.plugins.call(name, "loom_add_commands"), manifest.commands)
            health = runtime.health()
            assert name not in health or health[name].healthy, health[name].message
            host = runtime.host("contract")
        assert not [s for s in runtime.bus.subscriptions() if s.subscriber == name]
        assert not host.tasks()


def check_host_contract(host: Host) -> None:
    """Check that *host* has everything that the reference promises to plugins."""
    for power in ("publish", "publish_nowait", "subscribe", "on", "request", "reply", "spawn"):
        assert callable(getattr(host, power))


def _attaches(module: Any) -> bool:
    return hasattr(module, "loom_attach")


def _check_settings(shape: Any, declared: set[str]) -> None:
    if shape is None:
        return
    found: Any = getattr(shape, "__struct_fields__", None) or getattr(shape, "model_fields", ())
    fields = set(found)
    assert fields == declared, f"loom_settings has {fields}, the manifest lists {declared}"


def _check_commands(commands: Any, listed: Mapping[str, str]) -> None:
    brought = {command.name: command for command in commands or ()}
    assert set(brought) == set(listed), f"brings {set(brought)}, the manifest lists {set(listed)}"
    for name, command in brought.items():
        assert inspect.getdoc(command.callback), f"command {name!r} has no help"
