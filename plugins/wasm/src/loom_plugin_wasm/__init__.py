"""Tools and event handlers in WebAssembly, each in a process that can be killed."""

from __future__ import annotations

__all__: list[str] = []
