"""A filter of system calls (seccomp, in classic BPF) that the kernel applies to a program.

https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterable, Iterator

from loom_plugin_sandbox.syscalls import ABSENT, ARCHITECTURES

ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16  # where they lie in what the filter sees
_SECOND_TABLE = 0x40000000
NAMESPACES = 0x7E020000
"""The flags of clone that make namespaces."""

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
FAMILIES = (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
"""Kinds of sockets that a network namespace confines; others (vsock) reach past it."""

Instruction = tuple[int, int, int, int]


def make_filter(
    families: Iterable[int] = FAMILIES, *, is_alone: bool = True, machine: str = ""
) -> bytes:
    """The filter, or nothing where the numbers of the calls are not known.

    Only sockets of *families* can be made. Unless the program *is_alone* (in namespaces), it may
    not change files by their paths in ways that Landlock overlooks, nor leave its group.
    """
    known = ARCHITECTURES.get(machine or platform.machine())
    if known is None:
        return b""
    refused = dict(known.refused)
    if not is_alone:
        refused |= {**known.metadata, **known.sessions}
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, known.audit), (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]  # fmt: skip
    if known.has_second_table:
        program += [(_AT_LEAST, 0, 1, _SECOND_TABLE), _refuse(errno.EPERM)]
    for number in refused.values():
        program += [(_EQUAL, 0, 1, number), _refuse(errno.EPERM)]
    for number in ABSENT.values():
        program += [(_EQUAL, 0, 1, number), _refuse(errno.ENOSYS)]
    program += _on_first(known.clone, [(_ANY_BIT, 0, 1, NAMESPACES), _refuse(errno.EPERM)])
    chosen = [part for family in families for part in _permitted(family)]
    program += _on_first(known.socket, [*chosen, _refuse(errno.EAFNOSUPPORT)])
    return b"".join(struct.pack("=HBBI", *one) for one in [*program, (_RETURN, 0, 0, ALLOW)])


def _permitted(family: int) -> Iterator[Instruction]:
    yield (_EQUAL, 0, 1, family)
    yield (_RETURN, 0, 0, ALLOW)


def _refuse(code: int) -> Instruction:
    return (_RETURN, 0, 0, REFUSE | code)


def _on_first(number: int, body: list[Instruction]) -> list[Instruction]:
    """Let *body* look at the first argument of call *number*; what it lets pass is allowed."""
    inside = [(_LOAD, 0, 0, _FIRST), *body, (_RETURN, 0, 0, ALLOW)]
    return [(_EQUAL, 0, len(inside), number), *inside]
