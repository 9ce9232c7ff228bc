"""Watches folders and publishes what changed."""

from __future__ import annotations

__all__: list[str] = []
