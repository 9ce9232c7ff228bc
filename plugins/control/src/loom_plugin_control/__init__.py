"""Runs Loom in the background and talks to it: up, down, status, logs, publish, tail."""

from __future__ import annotations

__all__: list[str] = []
