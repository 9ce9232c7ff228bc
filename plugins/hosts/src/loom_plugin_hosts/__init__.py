"""Host adapters: where events come from and where actions go on this machine."""

from __future__ import annotations

__all__: list[str] = []
