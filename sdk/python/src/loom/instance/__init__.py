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
    effect_of,
    stream,
    unreachable,
)
from loom.instance.terminal import (
    duration,
    json_option,
    parse_duration,
    printable,
    record_table,
    say,
    say_records,
    say_state,
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
    "effect_of",
    "find_instance",
    "folder_argument",
    "instance_options",
    "json_option",
    "listen",
    "lock_holder",
    "parse_duration",
    "peer_uid",
    "prepare_state",
    "printable",
    "record_table",
    "say",
    "say_records",
    "say_state",
    "stream",
    "table",
    "unreachable",
]
