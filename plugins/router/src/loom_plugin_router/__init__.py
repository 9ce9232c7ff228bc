"""Decides where a thought is thought: here, elsewhere, both, or not at all."""

from __future__ import annotations

__all__: list[str] = []
