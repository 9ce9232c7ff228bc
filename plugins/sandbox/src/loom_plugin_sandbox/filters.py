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
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # where they lie in what the filter sees
_SECOND_TABLE = 0x40000000
NAMESPACES = 0x7E020000
"""The flags of clone that make namespaces."""
MAKES_FILE = 0o20000100
"""The flags of open that make a file: O_CREAT, O_TMPFILE."""
AS_ANOTHER = 0o6000
"""The bits of a mode by which whoever runs a file becomes its owner, or of its group."""

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
    program += _on(known.clone, [_argument(0), (_ANY_BIT, 0, 1, NAMESPACES), _refuse(errno.EPERM)])
    chosen = [part for family in families for part in _permitted(family)]
    program += _on(known.socket, [_argument(0), *chosen, _refuse(errno.EAFNOSUPPORT)])
    for number, place in known.modes.items():
        program += _on(number, _owned(place))
    for number, place in known.opens.items():
        makes = [_argument(place), (_ANY_BIT, 1, 0, MAKES_FILE), (_RETURN, 0, 0, ALLOW)]
        program += _on(number, [*makes, *_owned(place + 1)])
    return b"".join(struct.pack("=HBBI", *one) for one in [*program, (_RETURN, 0, 0, ALLOW)])


def _permitted(family: int) -> Iterator[Instruction]:
    yield (_EQUAL, 0, 1, family)
    yield (_RETURN, 0, 0, ALLOW)


def _refuse(code: int) -> Instruction:
    return (_RETURN, 0, 0, REFUSE | code)


def _argument(place: int) -> Instruction:
    """Look at the lower half of an argument; the kernel looks at no more of these."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * place)


def _owned(place: int) -> list[Instruction]:
    """Refuse a mode that would make others, who run the file, somebody else."""
    return [_argument(place), (_ANY_BIT, 0, 1, AS_ANOTHER), _refuse(errno.EPERM)]


def _on(number: int, body: list[Instruction]) -> list[Instruction]:
    """Let *body* look at call *number*; what it lets pass is allowed."""
    inside = [*body, (_RETURN, 0, 0, ALLOW)]
    return [(_EQUAL, 0, len(inside), number), *inside]
