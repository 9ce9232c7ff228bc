"""Measures a command from outside: `python -I -S launcher.py TIMES COMMAND...` prints JSON.

A process starts with the peak memory of the one that started it, so the one that starts it has
to be small: this imports next to nothing. The first run is not counted: it may fill caches.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter

PEAK_UNIT = 1 << 10  # ru_maxrss is in KiB on Linux


def run(command: list[str]) -> dict[str, float]:
    """Run *command* once; its own last line of output may add figures."""
    reader, writer = os.pipe()
    began = perf_counter()
    child = os.posix_spawnp(
        command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)]
    )
    os.close(writer)
    said = b""
    while part := os.read(reader, 1 << 16):
        said += part
    os.close(reader)
    _, status, usage = os.wait4(child, 0)
    wall = perf_counter() - began
    if status:
        sys.exit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    figures = {
        "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1e3,
        "wall_ms": wall * 1e3,
        "peak_mb": usage.ru_maxrss / PEAK_UNIT,
    }
    return figures | _own_figures(said)


def _own_figures(said: bytes) -> dict[str, float]:
    last = said.strip().rpartition(b"\n")[2]
    if not last.startswith(b'{"ready_ms"'):
        return {}
    import json

    return {name: value for name, value in json.loads(last).items() if name != "plugins"}


def main() -> None:
    """Run the command as often as asked and print the median of each figure."""
    times, command = int(sys.argv[1]), sys.argv[2:]
    run(command)
    runs = [run(command) for _ in range(times)]
    medians = {name: sorted(one[name] for one in runs)[times // 2] for name in runs[0]}
    body = ", ".join(f'"{name}": {value!r}' for name, value in medians.items())
    sys.stdout.write(f"{{{body}}}\n")


if __name__ == "__main__":
    main()
