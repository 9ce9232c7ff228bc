"""A driver of `loom.vectors`: FAISS finds the nearest of many vectors."""

from __future__ import annotations

__all__: list[str] = []
