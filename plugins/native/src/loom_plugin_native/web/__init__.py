"""The tools that reach out: `web:fetch`, `web:search` and `weather:get`, behind one guard."""

from __future__ import annotations

__all__: list[str] = []
