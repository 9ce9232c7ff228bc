"""Publishes cron, interval and one-off timer events that tell the truth."""

from __future__ import annotations

__all__: list[str] = []
