"""Audit: what was done, by whom, in an order that cannot be changed unnoticed."""

from __future__ import annotations

__all__: list[str] = []
