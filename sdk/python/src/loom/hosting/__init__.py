"""Running agents: for the runtime, and for the processes in which agents live.

`Actor` runs one agent on a host, in the runtime or at the far end of a bridge, where `joined` makes
that host; `load_agents` finds agents in a file; `Order` and `Report` are what a runtime and its
child processes (`python -m loom.hosting.worker`) say to each other before the bridge is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom.hosting.actor import Actor
    from loom.hosting.files import load_agents
    from loom.hosting.orders import Order, Report
    from loom.hosting.remote import joined

_HOME = {
    "Actor": "loom.hosting.actor",
    "Order": "loom.hosting.orders",
    "Report": "loom.hosting.orders",
    "joined": "loom.hosting.remote",
    "load_agents": "loom.hosting.files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


__all__ = ["Actor", "Order", "Report", "joined", "load_agents"]
