"""What agents remember, kept in one file and found by words and by meaning."""

from __future__ import annotations

__all__: list[str] = []
