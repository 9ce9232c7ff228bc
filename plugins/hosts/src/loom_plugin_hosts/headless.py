"""The host of a machine that nobody looks at: its clock beats, actions go to a journal file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from loom_kernel import encode_json


class Heartbeat:
    """Source `heartbeat`: kind `beat` every so many seconds."""

    name = "heartbeat"

    def __init__(self, every: float) -> None:
        self._every = every

    async def events(self) -> AsyncIterator[tuple[str, Any]]:
        """Beat, counted from 1."""
        beat = 0
        while True:
            await asyncio.sleep(self._every)
            beat += 1
            yield "beat", {"count": beat, "load": os.getloadavg()[0]}


class Journal:
    """Sink `journal`: appends each action as one JSON line."""

    name = "journal"

    def __init__(self, file: Path) -> None:
        self._file = file

    async def act(self, data: Any) -> Mapping[str, Any]:
        """Write *data* down; on disk when this returns."""
        line = encode_json(data) + b"\n"
        await asyncio.to_thread(self._append, line)
        return {"bytes": len(line)}

    def _append(self, line: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self._file, flags, 0o600)
        try:
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Headless:
    """Options: `every` (seconds between beats, 60), `journal` (file name, `actions.jsonl`)."""

    name = "headless"

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        self._heartbeat = Heartbeat(float(options.get("every", 60.0)))
        self._journal = Journal(folder / str(options.get("journal", "actions.jsonl")))

    def sources(self) -> list[Heartbeat]:
        """Its only sense is time."""
        return [self._heartbeat]

    def sinks(self) -> list[Journal]:
        """Its only effector is a pen."""
        return [self._journal]
