"""Says what works on this machine and why something does not."""

from __future__ import annotations

__all__: list[str] = []
