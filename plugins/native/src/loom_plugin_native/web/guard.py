"""What may be connected to. The last word is spoken at the socket, about the address in use.

A name is resolved once for each connection; all of its addresses have to be allowed, and the
connection is made to one of those, whatever the name means a moment later.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from loom_kernel import ConfigError, LoomError

from loom_plugin_native.web.addresses import Address, is_public, parse_address, parse_networks

PORTS = (80, 443)
SCHEMES = {"http": 80, "https": 443}
LONGEST = 4096

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a name, or `OSError`."""


class Refused(LoomError):
    """Loom does not connect there; nothing was sent."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what[:120]!r} {why}")


class Guard:
    """The rules, with what the owner allows beyond them.

    *hosts* are names (`name` or `name:port`) that may be at any address; *networks* are addresses
    that may be reached although they are not public, on any port.
    """

    def __init__(
        self,
        hosts: Iterable[str] = (),
        networks: Iterable[str] = (),
        resolve: Resolve | None = None,
    ) -> None:
        self._hosts = {_ascii(host.lower()) for host in hosts}
        try:
            self._networks = parse_networks(networks)
        except ValueError as error:
            raise ConfigError(f"[plugins.native] web_addresses: {error}") from error
        self._resolve = resolve or system_addresses

    def check_url(self, url: str) -> None:
        """Look at *url* before anything is asked about it.

        Raises:
            Refused: it is no plain URL of the web.
        """
        if len(url) > LONGEST:
            raise Refused(url, f"is longer than {LONGEST} characters")
        if not url.isprintable() or " " in url or "\\" in url:
            raise Refused(url, "has characters that no URL has")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise Refused(url, f"is no URL: {error}") from None
        if parts.scheme.lower() not in SCHEMES:
            raise Refused(url, "is not of the web: write http:// or https://")
        if "@" in parts.netloc:
            raise Refused(parts.hostname or "", "comes with a user or a password in the URL")
        if not parts.hostname:
            raise Refused(url, "names no host")
        if port == 0:
            raise Refused(url, "has the port 0")

    async def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect for *host*: addresses that have all been allowed.

        Raises:
            Refused: one of them is not.
            OSError: the name has none.
        """
        host = host.lower().rstrip(".")
        is_trusted = f"{host}:{port}" in self._hosts or (host in self._hosts and port in PORTS)
        found = await self._resolve(host, port)
        for text in found:
            address = parse_address(text)
            if address is None:
                raise Refused(host, f"has an address that is none: {text!r}")
            if not is_trusted:
                self._check(host, address, port)
        return found

    def _check(self, host: str, address: Address, port: int) -> None:
        near = getattr(address, "ipv4_mapped", None) or address
        if any(near in network for network in self._networks if network.version == near.version):
            return
        if not is_public(address):
            raise Refused(
                host,
                "is not on the public internet; the owner can allow it in [plugins.native] "
                "web_hosts or web_addresses",
            )
        if port not in PORTS:
            raise Refused(f"{host}:{port}", f"is not on port {' or '.join(map(str, PORTS))}")


def _ascii(host: str) -> str:
    """A name as the domain name system has it."""
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ConfigError(f"[plugins.native] web_hosts: {host!r} is no name: {error}") from None


async def system_addresses(host: str, port: int) -> list[str]:
    """What this system says about *host*: also what its own file of hosts says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))
