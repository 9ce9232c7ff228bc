"""Bounds what one event may cause: events, calls, hops, seconds, tokens, money."""

from __future__ import annotations

__all__: list[str] = []
