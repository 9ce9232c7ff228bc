"""Native tools: files, shell, web search and weather."""

from __future__ import annotations

__all__: list[str] = []
