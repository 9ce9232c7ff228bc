"""Loom as an MCP server: over HTTP within the runtime, over stdio as a process in front of it."""

from __future__ import annotations

__all__: list[str] = []
