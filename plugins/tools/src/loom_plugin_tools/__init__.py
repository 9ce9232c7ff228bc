"""The one path of every tool call: resolve, validate, approve, execute, audit."""

from __future__ import annotations

__all__: list[str] = []
