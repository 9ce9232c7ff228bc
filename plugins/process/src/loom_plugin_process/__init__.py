"""Plugins in processes of their own: any program, in any language."""

from __future__ import annotations

__all__: list[str] = []
