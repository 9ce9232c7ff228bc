"""Run as a process of its own: swap a directory and a link as fast as the kernel can.

Usage: exchanging.py FOLDER FIRST SECOND. Ends when its standard input is closed.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

RENAME_EXCHANGE = 2


def main(folder: str, first: str, second: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    names = (first.encode(), second.encode())
    if libc.renameat2(handle, names[0], handle, names[1], RENAME_EXCHANGE):
        sys.exit(os.strerror(ctypes.get_errno()))
    waiting = threading.Thread(target=sys.stdin.read, daemon=True)
    waiting.start()
    print("swapping", flush=True)
    swaps = 1
    while waiting.is_alive():
        for _ in range(100):
            libc.renameat2(handle, names[0], handle, names[1], RENAME_EXCHANGE)
        swaps += 100
    print(swaps, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
