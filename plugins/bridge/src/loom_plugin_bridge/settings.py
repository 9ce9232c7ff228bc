"""`[plugins.bridge]`."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What loom-plugin.toml describes; times in seconds, sizes in bytes."""

    grpc: bool = True
    websocket: bool = True
    tcp: str = ""
    websocket_tcp: str = ""
    public: bool = False
    tls_certificate: str = ""
    tls_key: str = ""
    origins: list[str] = []
    reflection: bool = True
    heartbeat: float = 5.0
    lease: float = 15.0
    retention: float = 60.0
    handshake: float = 5.0
    max_frame: int = 4 << 20
