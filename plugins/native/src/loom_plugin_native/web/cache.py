"""Pages that were fetched a short while ago, kept on the disk with diskcache.

Only JSON goes in and comes out. diskcache can also unpickle what it finds in its file, which runs
whatever somebody wrote there (CVE-2025-69872); here such a row is damage, and the cache begins
anew. Its folder is its owner's alone.
"""

from __future__ import annotations

import shutil
import sqlite3
import zlib
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec
from loom_kernel import private_dir

from loom_plugin_native.web.client import Page

if TYPE_CHECKING:
    import diskcache

SIZE = 64 << 20
"""Bytes of all that is kept; the oldest make room."""
LARGEST = 2 << 20
"""Bytes of the longest page that is kept."""


class Damaged(Exception):
    """The file holds what was never put there."""


class Kept(msgspec.Struct, frozen=True):
    """A page, and when it was fetched: UNIX seconds."""

    fetched: float
    page: Page


class PageCache:
    """Pages by URL in *folder*, each for at most *seconds*. All of it blocks."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._lock = Lock()
        self._open: diskcache.Cache | None = None

    def get(self, url: str, now: float) -> Kept | None:
        """The page of *url*, if it is not older than it may be."""
        with self._lock:
            try:
                found = self._cache().get(url)
                kept = msgspec.json.decode(found, type=Kept) if found else None
            except (Damaged, sqlite3.Error, OSError, msgspec.MsgspecError, TypeError):
                self._begin_anew()
                return None
        lives = min(self._seconds, kept.page.lifetime) if kept is not None else 0.0
        return kept if kept is not None and 0 <= now - kept.fetched < lives else None

    def put(self, url: str, kept: Kept) -> None:
        """Keep it, if it may be kept."""
        page = kept.page
        if page.status != 200 or page.lifetime <= 0 or len(page.body) > LARGEST:
            return
        text = msgspec.json.encode(kept).decode()
        with self._lock:
            try:
                self._cache().set(url, text, expire=min(self._seconds, page.lifetime))
            except (Damaged, sqlite3.Error, OSError):
                self._begin_anew()

    def close(self) -> None:
        """Let the files go."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def _cache(self) -> diskcache.Cache:
        if self._open is None:
            import diskcache

            private_dir(self._folder)
            self._open = diskcache.Cache(
                str(self._folder), disk=_json_disk(), size_limit=SIZE, disk_min_file_size=SIZE
            )
        return self._open

    def _begin_anew(self) -> None:
        """What is here is worth nothing: the web has it too."""
        if self._open is not None:
            self._open.close()
            self._open = None
        shutil.rmtree(self._folder, ignore_errors=True)


def _json_disk() -> type[diskcache.Disk]:
    """A disk that stores texts, and takes nothing else from the file."""
    import diskcache
    from diskcache.core import MODE_RAW

    class JSONOnly(diskcache.Disk):  # type: ignore[misc]  # it has no types
        def put(self, key: Any) -> Any:
            return str(key), True

        def get(self, key: Any, raw: Any) -> Any:
            if not raw:
                raise Damaged
            return key

        def store(self, value: Any, read: bool, key: Any = None) -> Any:
            packed = zlib.compress(value.encode())
            return 0, MODE_RAW, None, sqlite3.Binary(packed)

        def fetch(self, mode: int, filename: Any, value: Any, read: bool) -> Any:
            if mode != MODE_RAW or filename is not None or not isinstance(value, bytes):
                raise Damaged
            try:
                return zlib.decompress(value).decode()
            except (ValueError, zlib.error) as error:
                raise Damaged from error

    return JSONOnly
