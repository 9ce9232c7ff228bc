"""`loom tools …` in trouble.

`kill:N` kills it before its Nth change of a name in a folder, `every:N` before its Nth change of
anything, `rename:N` before it renames for the Nth time; `size:N` lets no file grow larger, as a
full disk would. `watch` lets it be, and prints what no installer should do, as JSON.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any

import tomlkit  # it is imported late by the command: that is no change
from loom_kernel import LoomError
from loom_plugin_tools.commands import ALL

NAMES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"}
CHANGES = {
    "rename": {"os.rename"}, "kill": NAMES, "every": {*NAMES, "os.chmod", "os.truncate", "open"},
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
FOREIGN = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "ctypes.dlopen"}


class Killer:
    """Ends the process, as nothing can prevent, at change *number*."""

    def __init__(self, kind: str, number: int) -> None:
        self.changes = CHANGES[kind]
        self.left = number

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in self.changes and (event != "open" or args[2] & WRITING):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def watch(event: str, args: tuple[Any, ...]) -> None:
    is_code = event in ("compile", "exec") and "/words/" in str(args)
    if event in FOREIGN or event.startswith("socket.") or is_code:
        SEEN.append(f"{event} {args}")


SEEN: list[str] = []


def main(trouble: str, words: list[str]) -> None:
    kind, _, number = trouble.partition(":")
    tools = next(command for command in ALL if command.name == "tools")
    assert tomlkit.parse("") == {}
    if kind in CHANGES:
        sys.addaudithook(Killer(kind, int(number)))
    elif kind == "size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), resource.RLIM_INFINITY))
    elif kind == "watch":
        sys.addaudithook(watch)
    try:
        tools.main(words, standalone_mode=True)
    except LoomError as error:
        sys.exit(f"loom: {error}")
    finally:
        if kind == "watch":
            print(json.dumps(SEEN))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main(sys.argv[1], sys.argv[2:])
