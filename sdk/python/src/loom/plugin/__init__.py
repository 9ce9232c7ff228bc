"""Writing a plugin that runs in a process of its own, and how such a process introduces itself.

from loom.plugin import Call, Emission, Plugin

`Handshake` and the names of the variables are what both ends must agree on, in any language; they
are described in docs/reference/plugin-protocol.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom.plugin.authoring import Call, Emission, Plugin
    from loom.plugin.handshake import (
        FOLDER,
        LONGEST_HANDSHAKE,
        PROTOCOLS,
        PROTOCOLS_SPOKEN,
        SERVICE,
        TOKEN_DESCRIPTOR,
        Handshake,
        HandshakeFailed,
    )

# fmt: off
_HOMES = {
    "authoring": ("Call", "Emission", "Plugin"),
    "handshake": (
        "FOLDER", "LONGEST_HANDSHAKE", "PROTOCOLS", "PROTOCOLS_SPOKEN", "SERVICE",
        "TOKEN_DESCRIPTOR", "Handshake", "HandshakeFailed",
    ),
}
# fmt: on
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


__all__ = [
    "FOLDER",
    "LONGEST_HANDSHAKE",
    "PROTOCOLS",
    "PROTOCOLS_SPOKEN",
    "SERVICE",
    "TOKEN_DESCRIPTOR",
    "Call",
    "Emission",
    "Handshake",
    "HandshakeFailed",
    "Plugin",
]
