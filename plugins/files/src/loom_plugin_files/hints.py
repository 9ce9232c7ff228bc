"""The bounded queue between the observer's threads and the event loop.

A hint says where to look, not what happened: the disk says that. So when hints are lost, to a full
queue or in the operating system, looking everywhere makes up for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from loom_plugin_files.changes import Touched


class HintQueue:
    """Hints in order of arrival. Full means emptied and marked as lost: no thread ever waits."""

    def __init__(self, capacity: int, wake: Callable[[], None]) -> None:
        """*wake* is called from any thread when there is something to take."""
        self._capacity = capacity
        self._wake = wake
        self._lock = threading.Lock()
        self._hints: list[Touched] = []
        self._loss = ""

    def put(self, hint: Touched) -> None:
        with self._lock:
            if self._loss:
                return  # the whole folder will be looked at anyway
            if len(self._hints) < self._capacity:
                self._hints.append(hint)
            else:
                self._hints.clear()
                self._loss = "overflow"
        self._wake()

    def lose(self, reason: str) -> None:
        """Note that hints were lost before they got here."""
        with self._lock:
            self._hints.clear()
            self._loss = reason
        self._wake()

    def take(self) -> tuple[list[Touched], str]:
        """Return the hints and, if some were lost, why."""
        with self._lock:
            taken = self._hints, self._loss
            self._hints, self._loss = [], ""
        return taken
