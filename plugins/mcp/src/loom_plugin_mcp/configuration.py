"""`[mcp.<server>]`: which servers there are, how they are reached, and what they may reach."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from loom_kernel import ConfigError

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
HANDSHAKE = "2025-11-25"
"""The last version of the protocol with a handshake; servers may answer it with an older one."""
MODERN = "2026"
"""How the versions begin that have none, and streams of changes instead."""
PAGES = 200
"""Pages of one listing that are asked for."""
RESERVED = ("prompt", "resource", "serve", "server")
"""They have another meaning after `mcp.` in topics."""
UNSET = re.compile(r"\$\{(\w+)\}")
"""What the kernel leaves in a text if the variable is not set."""

Answer = Literal["deny", "ask"]


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One server, as its table describes it; paths are absolute."""

    name: str = ""
    command: str | tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    cwd: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: bool = False
    memory: int = 0
    """MiB of address space; 0 = no limit, because some runtimes reserve far more than they use."""
    url: str = ""
    transport: Literal["http", "sse"] = "http"
    headers: Mapping[str, str] = {}
    protocol: Literal["auto", "2025-11-25", "2026-07-28"] = "auto"
    timeout: float = 30.0
    """Seconds that a call may take at most."""
    enabled: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ("mcp",)
    sampling: Answer = "deny"
    elicitation: Answer = "deny"

    @property
    def needs(self) -> tuple[str, ...]:
        """What its tools need: what the owner wrote, and `net` if it can reach others."""
        reaches = self.network or bool(self.url)
        return (*self.permissions, *(("net",) if reaches and "net" not in self.permissions else ()))

    @property
    def argv(self) -> tuple[str, ...]:
        """The program as it was written, and its arguments."""
        command = (self.command,) if isinstance(self.command, str) else self.command
        return (*command, *self.args)

    def wants(self, tool: str) -> bool:
        """Whether the owner wants the server's *tool*."""
        return tool not in self.exclude and (not self.include or tool in self.include)


def read_servers(tables: Mapping[str, Any], base: Path | None) -> list[Server]:
    """The servers in *tables*; *base* is the folder that relative paths begin in.

    Raises:
        ConfigError: naming the server and the key that is wrong.
    """
    return [_read(name, table, base) for name, table in sorted(tables.items())]


def _read(name: str, table: Any, base: Path | None) -> Server:
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError(
            f"[mcp.{name}]: a server's name has up to 31 lower-case letters, digits and dashes, "
            f"and is none of {', '.join(RESERVED)}"
        )
    if not isinstance(table, dict):
        raise ConfigError(f"mcp.{name} must be a table: write [mcp.{name}]")
    keys = [key for key in Server.__struct_fields__ if key != "name"]
    for key in table:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(keys))}"
            raise ConfigError(f"unknown key {key!r} in [mcp.{name}]{hint}")
    for key, value in table.items():
        try:
            msgspec.convert({key: value}, Server)
        except msgspec.ValidationError as error:
            raise ConfigError(f"{key!r} in [mcp.{name}]: {error}") from None
    server = msgspec.structs.replace(msgspec.convert(table, Server), name=name)
    _check(server)
    return _placed(server, base)


def _check(server: Server) -> None:
    """Hold what the types cannot say."""
    if bool(server.argv) == bool(server.url):
        raise _wrong(server, "command", "give either `command` or `url`")
    if any("\0" in part for part in server.argv) or "" in server.argv[:1]:
        raise _wrong(server, "command", "is no program")
    if not 0 < server.timeout <= 86_400:
        raise _wrong(server, "timeout", "must be more than 0 s and at most a day")
    if server.memory < 0:
        raise _wrong(server, "memory", "is less than 0")
    _check_variables(server)
    if server.url:
        _check_url(server)


def _check_variables(server: Server) -> None:
    """The kernel has filled in what is set; what is left would be sent as it stands."""
    texts = [(key, getattr(server, key)) for key in ("url", "cwd")]
    texts += [("command", part) for part in server.argv]
    texts += [(key, path) for key in ("read", "write") for path in getattr(server, key)]
    texts += [(key, text) for key in ("env", "headers") for text in getattr(server, key).values()]
    for key, text in texts:
        if unset := UNSET.search(text):
            raise _wrong(server, key, f"it needs the variable {unset[1]}, which is not set")


def _check_url(server: Server) -> None:
    for key in ("env", "cwd", "read", "write", "network", "memory"):
        if getattr(server, key):
            raise _wrong(server, key, "is for servers with a `command`")
    try:
        parts = urlsplit(server.url)
        host = parts.hostname or ""
    except ValueError as error:
        raise _wrong(server, "url", str(error)) from None
    if parts.scheme not in ("http", "https") or not host or parts.username:
        raise _wrong(server, "url", f"{server.url!r} is no http(s) address, or has a password")
    if parts.scheme == "http" and not is_loopback(host):
        raise _wrong(server, "url", "only loopback addresses may be reached without TLS: use https")


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine: `localhost`, or a loopback address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _placed(server: Server, base: Path | None) -> Server:
    """*server* with absolute paths."""

    def place(key: str, path: str) -> str:
        written = Path(path).expanduser()
        if not path or (base is None and not written.is_absolute()):
            raise _wrong(server, key, f"{path!r} must be absolute: there is no project folder here")
        return str(((base or Path("/")) / written).resolve())

    return msgspec.structs.replace(
        server,
        cwd=place("cwd", server.cwd) if server.cwd else "",
        read=tuple(place("read", path) for path in server.read),
        write=tuple(place("write", path) for path in server.write),
    )


def _wrong(server: Server, key: str, problem: str) -> ConfigError:
    return ConfigError(f"{key!r} in [mcp.{server.name}]: {problem}")
