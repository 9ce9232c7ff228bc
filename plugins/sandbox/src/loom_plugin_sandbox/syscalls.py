"""Calls to the operating system that no confined program needs, by their numbers.

They lead out of a sandbox (namespaces, mounts, other processes), or to parts of the kernel that
know no namespaces (keys) or in which ways out were found time and again (io_uring, bpf).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_EVERYWHERE = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
    "fspick": 433, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442,
    "quotactl_fd": 443,
}  # fmt: skip
_X86_64 = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "setns": 308, "unshare": 272, "kexec_load": 246, "kexec_file_load": 320, "init_module": 175,
    "finit_module": 313, "delete_module": 176, "swapon": 167, "swapoff": 168, "reboot": 169,
    "acct": 163, "settimeofday": 164, "clock_settime": 227, "clock_adjtime": 305,
    "adjtimex": 159, "quotactl": 179, "open_by_handle_at": 304, "name_to_handle_at": 303,
    "syslog": 103, "vhangup": 153, "sethostname": 170, "setdomainname": 171,
    "lookup_dcookie": 212, "iopl": 172, "ioperm": 173, "modify_ldt": 154,
}  # fmt: skip
_AARCH64 = {
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
    "add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241,
    "userfaultfd": 282, "mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51,
    "setns": 268, "unshare": 97, "kexec_load": 104, "kexec_file_load": 294, "init_module": 105,
    "finit_module": 273, "delete_module": 106, "swapon": 224, "swapoff": 225, "reboot": 142,
    "acct": 89, "settimeofday": 170, "clock_settime": 112, "clock_adjtime": 266,
    "adjtimex": 171, "quotactl": 60, "open_by_handle_at": 265, "name_to_handle_at": 264,
    "syslog": 116, "vhangup": 58, "sethostname": 161, "setdomainname": 162, "lookup_dcookie": 18,
}  # fmt: skip
_NEWER = {"fchmodat2": 452, "setxattrat": 463, "removexattrat": 466}


class Architecture(msgspec.Struct, frozen=True):
    """The numbers of one kind of processor."""

    audit: int
    """What the kernel calls it (AUDIT_ARCH_*)."""
    refused: Mapping[str, int]
    metadata: Mapping[str, int]
    """Calls that change a file's mode, owner or times by its path: Landlock does not know them."""
    sessions: Mapping[str, int]
    """Calls by which a process leaves its group."""
    modes: Mapping[int, int]
    """Calls that give a file a mode, and which of their arguments it is."""
    opens: Mapping[int, int]
    """Calls that may make a file: which argument says so; the next is the mode."""
    clone: int
    socket: int
    has_second_table: bool = False
    """Whether numbers beyond 2³⁰ mean calls too (x32)."""


ARCHITECTURES: Mapping[str, Architecture] = {
    "x86_64": Architecture(
        audit=0xC000003E,
        refused=_EVERYWHERE | _X86_64,
        metadata=_NEWER | {
            "chmod": 90, "fchmodat": 268, "chown": 92, "lchown": 94, "fchownat": 260,
            "setxattr": 188, "lsetxattr": 189, "removexattr": 197, "lremovexattr": 198,
            "utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280,
        },
        sessions={"setsid": 112, "setpgid": 109},
        modes={90: 1, 91: 1, 268: 2, 452: 2, 133: 1, 259: 2, 85: 1},
        opens={2: 1, 257: 2},
        clone=56,
        socket=41,
        has_second_table=True,
    ),
    "aarch64": Architecture(
        audit=0xC00000B7,
        refused=_EVERYWHERE | _AARCH64,
        metadata=_NEWER | {
            "fchmodat": 53, "fchownat": 54, "setxattr": 5, "lsetxattr": 6, "removexattr": 14,
            "lremovexattr": 15, "utimensat": 88,
        },
        sessions={"setsid": 157, "setpgid": 154},
        modes={52: 1, 53: 2, 452: 2, 33: 2},
        opens={56: 2},
        clone=220,
        socket=198,
    ),
}  # fmt: skip

ABSENT = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435,
    "openat2": 437,
}  # fmt: skip
"""Calls that are answered as if the kernel were older: whoever makes them has another way."""
