"""A driver of `loom.models`: Anthropic's messages."""

from __future__ import annotations

__all__: list[str] = []
