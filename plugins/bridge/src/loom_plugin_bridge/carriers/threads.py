"""gRPC's own threads, which read whatever strangers send before anybody knows them."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

NICENESS = 10
"""Of gRPC's threads. A flood of streams that are opened and given up costs their time alone, and
on a machine with few processors they would take it from those who are in."""


@contextmanager
def giving_way() -> Iterator[None]:
    """Let what is made inside use threads of gRPC that give way to all others (Linux).

    A thread inherits its priority from the one that starts it, and gRPC starts its threads when
    they are first needed: here that is for a channel that leads nowhere.
    """
    found: list[grpc.Channel] = []
    starter = threading.Thread(target=_start, args=(found,), name="grpc priority")
    starter.start()
    starter.join()
    try:
        yield
    finally:
        for channel in found:
            channel.close()


def _start(found: list[grpc.Channel]) -> None:
    if sys.platform == "linux":  # elsewhere a priority is the whole process's
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        found.append(grpc.insecure_channel("unix:/dev/null"))
