"""The host of a terminal: lines typed are events, actions are lines shown."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

LONGEST_LINE = 64 * 1024


class Lines:
    """Source `terminal`: kind `line` for each line of standard input, until it ends."""

    name = "terminal"

    async def events(self) -> AsyncIterator[tuple[str, Any]]:
        """What is typed, without the line end; a line over 64 KiB ends the source."""
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        try:
            while line := await reader.readline():
                yield "line", {"text": line.decode("utf-8", "replace").rstrip("\r\n")}
        finally:
            transport.close()


class Screen:
    """Sink `terminal`: shows `text` on standard output."""

    name = "terminal"

    async def act(self, data: Any) -> Mapping[str, Any]:
        """Show `data["text"]`, control characters made visible.

        Raises:
            ValueError: *data* has no text.
        """
        text = data.get("text") if isinstance(data, Mapping) else None
        if not isinstance(text, str):
            raise ValueError("the terminal shows {'text': '…'}")
        shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
        sys.stdout.write(shown + "\n")
        sys.stdout.flush()
        return {"characters": len(shown)}


class Terminal:
    """Takes no options."""

    name = "terminal"

    def __init__(self, options: Mapping[str, Any], folder: Path) -> None:
        if options:
            raise ValueError(f"the terminal takes no options, not {sorted(options)}")

    def sources(self) -> list[Lines]:
        """The keyboard."""
        return [Lines()]

    def sinks(self) -> list[Screen]:
        """The screen."""
        return [Screen()]
