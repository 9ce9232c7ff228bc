"""The Loom that runs, from outside: what a plugin's commands need to find it and to ask it.

Only the owner of its state folder can: the control socket (plugin `control`) asks the operating
system who is at the other end.
"""

from __future__ import annotations

from loom.instance.address import connect, listen, peer_uid
from loom.instance.client import (
    CommandFailed,
    NotRunning,
    Refused,
    Unanswered,
    answer_of,
    ask,
    stream,
    unreachable,
)
from loom.instance.terminal import (
    duration,
    parse_duration,
    printable,
    record_table,
    say,
    table,
)
from loom.instance.which import (
    APP,
    InstanceProcess,
    find_instance,
    folder_argument,
    instance_options,
    lock_holder,
    prepare_state,
)

__all__ = [
    "APP",
    "CommandFailed",
    "InstanceProcess",
    "NotRunning",
    "Refused",
    "Unanswered",
    "answer_of",
    "ask",
    "connect",
    "duration",
    "find_instance",
    "folder_argument",
    "instance_options",
    "listen",
    "lock_holder",
    "parse_duration",
    "peer_uid",
    "prepare_state",
    "printable",
    "record_table",
    "say",
    "stream",
    "table",
    "unreachable",
]
