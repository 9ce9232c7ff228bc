"""Lets agents and clients in other processes and languages take part in the runtime."""

from __future__ import annotations

__all__: list[str] = []
