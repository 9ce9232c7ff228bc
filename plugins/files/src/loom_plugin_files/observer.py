"""watchdog, made to tell of every hint or of its loss.

Left alone, an exception in a handler ends watchdog's thread in silence, an overflow in the kernel
is only logged, and folders beyond the limit of watches are skipped without a word.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver

from loom_plugin_files.changes import Touched
from loom_plugin_files.hints import HintQueue
from loom_plugin_files.selection import Selection

# Without a filter watchdog reports reading too, and every look at a file would be a hint.
_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]


class FolderObserver:
    """Puts a hint into *queue* for everything that happens in *root*. Its methods block."""

    def __init__(
        self, root: Path, selection: Selection, queue: HintQueue, log: logging.Logger
    ) -> None:
        self._root = root
        self._handler = _Handler(root, selection, queue, log)
        self._observer, self._is_reading = _new_observer(queue, log)

    def start(self, *, recursive: bool) -> None:
        """Begin to watch.

        Raises:
            OSError: the folder is not there, or the system has no watch left for it.
        """
        self._observer.start()
        try:
            self._observer.schedule(
                self._handler, str(self._root), recursive=recursive, event_filter=_EVENTS
            )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._observer.stop()
        self._observer.join()

    @property
    def is_alive(self) -> bool:
        """Whether every thread of it still runs."""
        emitters = self._observer.emitters
        return (
            self._observer.is_alive()
            and self._is_reading()
            and bool(emitters)
            and all(emitter.is_alive() for emitter in emitters)
        )


class _Handler(FileSystemEventHandler):
    def __init__(
        self, root: Path, selection: Selection, queue: HintQueue, log: logging.Logger
    ) -> None:
        self._prefix = f"{root}{os.sep}"
        self._selection = selection
        self._queue = queue
        self._log = log

    def dispatch(self, event: FileSystemEvent) -> None:
        try:
            source = self._relative(event.src_path)
            target = self._relative(event.dest_path)
            is_directory = event.is_directory
            if self._concerns(source, is_directory):
                self._queue.put(Touched(source, is_directory))
            else:
                source = ""
            if self._concerns(target, is_directory):
                self._queue.put(Touched(target, is_directory, source))
        except Exception:  # noqa: BLE001 - it would end the thread that watches
            self._log.exception("cannot take %r; the folder will be rescanned", event)
            self._queue.lose("error")

    def _concerns(self, relative: str, is_directory: bool) -> bool:
        matches = self._selection.enters if is_directory else self._selection.takes
        return relative != "" and matches(relative)

    def _relative(self, path: bytes | str) -> str:
        text = os.fsdecode(path)
        if not text.startswith(self._prefix):
            return ""
        return text.removeprefix(self._prefix).replace(os.sep, "/")


def _new_observer(queue: HintQueue, log: logging.Logger) -> tuple[BaseObserver, Callable[[], bool]]:
    if sys.platform == "linux":
        from loom_plugin_files.inotify import InotifyObserver

        observer = InotifyObserver(queue, log)
        return observer, observer.is_reading
    from watchdog.observers import Observer

    return Observer(), lambda: True
