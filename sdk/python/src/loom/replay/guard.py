"""Nothing happens in a replay: what would act on the world raises, however the code goes about it.

CPython tells an audit hook (PEP 578) of every socket, process and file that is opened. A hook stays
for good, so it looks whether a replayed handler is running; threads that one starts by
`asyncio.to_thread` are known too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from loom.replay.errors import EffectInReplay

_is_replaying: ContextVar[bool] = ContextVar("loom_is_replaying", default=False)
_hooked: list[bool] = []

_EFFECTS = frozenset(
    {
        "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
        "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
        "os.forkpty", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown",
        "os.link", "os.symlink", "os.truncate", "os.utime", "os.kill", "os.killpg", "os.putenv",
        "os.unsetenv", "sqlite3.connect", "signal.pthread_kill", "syslog.syslog",
    }
)  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@contextmanager
def nothing_happens() -> Iterator[None]:
    """Inside, an attempt to act on the world raises `EffectInReplay`."""
    if not _hooked:
        sys.addaudithook(_refuse)
        _hooked.append(True)
    token = _is_replaying.set(True)
    try:
        yield
    finally:
        _is_replaying.reset(token)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if not _is_replaying.get():
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITES:
            raise EffectInReplay(f"writing {path!r}")
    elif event in _EFFECTS:
        raise EffectInReplay(f"{event} {arguments!r}"[:200])
