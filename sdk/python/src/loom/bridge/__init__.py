"""The bridge's protocol, and the client's side of it: a `Host` on a runtime in another process.

`connect` is what an app needs; the rest is for whoever writes a server or another client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loom.bridge import messages
    from loom.bridge.address import (
        FRAMES_SOCKET,
        GRPC_SOCKET,
        LOCAL_TOKEN,
        WEBSOCKET_SOCKET,
        Address,
        bridge_folder,
        find_token,
        parse_address,
    )
    from loom.bridge.bus import RemoteBus
    from loom.bridge.carrier import Carrier, Peer
    from loom.bridge.carriers.frames import FramesCarrier, server_side
    from loom.bridge.client import Client
    from loom.bridge.codec import encoded, problem_of
    from loom.bridge.connection import connect
    from loom.bridge.errors import BridgeError, Disconnected, ProtocolError, Refused
    from loom.bridge.stream import Stream

# fmt: off
_HOMES = {
    "address": (
        "FRAMES_SOCKET", "GRPC_SOCKET", "LOCAL_TOKEN", "WEBSOCKET_SOCKET", "Address",
        "bridge_folder", "find_token", "parse_address",
    ),
    "bus": ("RemoteBus",),
    "carrier": ("Carrier", "Peer"),
    "carriers.frames": ("FramesCarrier", "server_side"),
    "client": ("Client",),
    "codec": ("encoded", "problem_of"),
    "connection": ("connect",),
    "errors": ("BridgeError", "Disconnected", "ProtocolError", "Refused"),
    "stream": ("Stream",),
}
# fmt: on
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "messages":
        return import_module(f"{__name__}.messages")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    return value


__all__ = [
    "FRAMES_SOCKET",
    "GRPC_SOCKET",
    "LOCAL_TOKEN",
    "WEBSOCKET_SOCKET",
    "Address",
    "BridgeError",
    "Carrier",
    "Client",
    "Disconnected",
    "FramesCarrier",
    "Peer",
    "ProtocolError",
    "Refused",
    "RemoteBus",
    "Stream",
    "bridge_folder",
    "connect",
    "encoded",
    "find_token",
    "messages",
    "parse_address",
    "problem_of",
    "server_side",
]
