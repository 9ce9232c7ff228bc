"""Keeps events on disk until they were handled, and what agents know, through any crash."""

from __future__ import annotations

__all__: list[str] = []
