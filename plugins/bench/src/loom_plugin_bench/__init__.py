"""Measures the bus beside the raw limit of the machine."""

from __future__ import annotations

__all__: list[str] = []
