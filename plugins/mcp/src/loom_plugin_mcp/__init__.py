"""MCP: tools of MCP servers for Loom, and tools of Loom for MCP clients."""

from __future__ import annotations

__all__: list[str] = []
