"""Drivers of `loom.models`: OpenAI's chat completions and responses."""

from __future__ import annotations

__all__: list[str] = []
