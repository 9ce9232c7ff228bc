"""watchdog's observer for Linux, with what it keeps to itself: overflows, limits, dead threads."""

from __future__ import annotations

import logging

from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from loom_plugin_files.hints import HintQueue


class InotifyObserver(BaseObserver):
    """An observer with its own inotify instance, whose losses are noted in *queue*."""

    def __init__(self, queue: HintQueue, log: logging.Logger) -> None:
        self._reader = _Reader(queue, log)
        super().__init__(InotifyEmitter, inotify_fd=self._reader)

    def start(self) -> None:
        self._reader.start()
        super().start()

    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self._reader.stop()
        self._reader.join()

    def is_reading(self) -> bool:
        return self._reader.is_alive()


class _Reader(InotifyFD):
    def __init__(self, queue: HintQueue, log: logging.Logger) -> None:
        super().__init__()
        self._queue = queue
        self._log = log

    def handle_event(self, event: InotifyEvent) -> None:
        try:
            super().handle_event(event)  # after an overflow this renews the watches first
        except Exception:  # noqa: BLE001 - it would end the thread that reads the kernel's events
            self._log.exception("cannot take %r; the folder will be rescanned", event)
            self._queue.lose("error")
        if event.is_queue_overflow:
            self._queue.lose("overflow")

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> WatchDescriptor:
        try:
            return super().add_callback(path, mask, callback, id_)
        except FileNotFoundError:
            raise
        except OSError as error:
            # watchdog goes on without this folder; see fs.inotify.max_user_watches.
            self._log.warning("%r is not watched and will only be seen by rescans: %s", path, error)
            self._queue.lose("unwatched")
            raise
