"""The tool `system:shell`: programs that the owner allowed, by argument list, in the sandbox."""

from __future__ import annotations

__all__: list[str] = []
