"""The one line with which a plugin in a process of its own begins, in the manner of go-plugin.

    LOOM|1|1|unix|/path/of/its.sock|grpc

the version of this line, the version of `PluginService` that the plugin chose among those that it
was offered, the kind of network, the address, and what is spoken there.
https://github.com/hashicorp/go-plugin/blob/main/docs/internals.md
"""

from __future__ import annotations

import os
from typing import Self

import msgspec
from loom_kernel import LoomError

MARK = "LOOM"
LINE_VERSION = 1
PROTOCOLS_SPOKEN = (1,)
"""The versions of `PluginService` that this release speaks."""
SERVICE = "loom.plugin.v1.PluginService"
LONGEST_HANDSHAKE = 4096
"""Bytes of the line, at most."""

TOKEN_DESCRIPTOR = "LOOM_PLUGIN_TOKEN_FD"
"""Variable with the number of the descriptor from which the plugin reads its token, to the end."""
FOLDER = "LOOM_PLUGIN_DIR"
"""Variable with the folder in which the plugin makes its socket; nobody else can."""
PROTOCOLS = "LOOM_PLUGIN_PROTOCOLS"
"""Variable with the versions of `PluginService` that the runtime speaks: `1` or `1,2`."""

_FORM = f"{MARK}|{LINE_VERSION}|{PROTOCOLS_SPOKEN[-1]}|unix|<socket>|grpc"
_SHOWN = 120


class HandshakeFailed(LoomError):
    """The first line of a plugin's standard output is not what it should be; the text says why."""


class Handshake(msgspec.Struct, frozen=True):
    """What the line says."""

    protocol: int
    address: str

    def __str__(self) -> str:
        return f"{MARK}|{LINE_VERSION}|{self.protocol}|unix|{self.address}|grpc"

    @classmethod
    def parse(cls, line: bytes, folder: str) -> Self:
        """Read *line* of a plugin that was given *folder*.

        Raises:
            HandshakeFailed: it is none, of another version, or names another place.
        """
        text = line.decode("utf-8", "replace").strip()
        mark, _, rest = text.partition("|")
        parts = rest.split("|")
        if mark != MARK or not parts[0].isdecimal():
            raise HandshakeFailed(
                f"it printed {text[:_SHOWN]!r} where its handshake should be ({_FORM}): it must "
                "print nothing before that on standard output, and messages on standard error"
            )
        _check_version(int(parts[0]), (LINE_VERSION,), "the handshake")
        if len(parts) != 5 or not parts[1].isdecimal():
            raise HandshakeFailed(f"its handshake {text[:_SHOWN]!r} is not of the form {_FORM}")
        _check_version(int(parts[1]), PROTOCOLS_SPOKEN, "the plugin protocol")
        _, protocol, network, address, wire = parts
        if (network, wire) != ("unix", "grpc"):
            raise HandshakeFailed(
                f"it offers {wire[:_SHOWN]!r} on {network[:_SHOWN]!r}; Loom speaks grpc on unix"
            )
        if os.path.dirname(address) != folder or os.path.basename(address) in ("", ".", ".."):  # noqa: PTH119, PTH120  # as text: nothing may be resolved
            raise HandshakeFailed(
                f"it listens on {address[:_SHOWN]!r}; its socket must lie in {folder!r}, the "
                f"folder that it was given in {FOLDER}"
            )
        return cls(int(protocol), address)


def _check_version(found: int, spoken: tuple[int, ...], what: str) -> None:
    if found in spoken:
        return
    ours = " and ".join(map(str, spoken))
    older = "the plugin is older: upgrade the plugin"
    newer = "this Loom is older: upgrade Loom, or install an older plugin"
    said = newer if found > max(spoken) else older
    raise HandshakeFailed(f"it speaks version {found} of {what} and Loom {ours}; {said}")


def choose_protocol(offered: str) -> int:
    """The version to speak with a runtime that speaks those in *offered* (`1,2`).

    If there is none in common it is this release's highest, so that the runtime can say who is
    older.
    """
    theirs = {int(version) for version in offered.split(",") if version.strip().isdecimal()}
    return max(theirs & set(PROTOCOLS_SPOKEN), default=max(PROTOCOLS_SPOKEN))
