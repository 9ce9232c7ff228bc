"""Which addresses are public: those that a stranger's web page may make Loom connect to.

https://www.iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry. Python's
own `is_global` changed over the releases and takes some forms for public that carry other addresses
inside, so what it says is only half of the answer here.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC = (
    IPv4Network((0, 8)),  # this machine, to many systems
    *map(ip_network, (
        "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
        "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
        "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # where a large cloud answers its machines, among public ones
        # Addresses that carry other addresses: 6to4, Teredo, and what documents are written with.
        "2002::/16", "2001::/23", "2001:db8::/32", "3fff::/20", "2620:4f:8000::/48",
    )),
)  # fmt: skip
_PUBLIC_V6 = IPv6Network("2000::/3")
"""All that is given out as public; NAT64, mapped, local and site addresses lie elsewhere."""


def parse_address(text: str) -> Address | None:
    """The address that *text* is, None if it is no plain one."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks that *texts* are.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(text, strict=False) for text in texts)


def is_public(address: Address) -> bool:
    """Whether *address* belongs to the open internet, and to nothing near this machine."""
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    if isinstance(address, IPv6Address):
        return address in _PUBLIC_V6 and address.is_global
    return address.is_global and not address.is_multicast
