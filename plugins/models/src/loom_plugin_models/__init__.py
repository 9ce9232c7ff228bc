"""Offers the language models of `loom.toml` to every agent, within their budgets."""

from __future__ import annotations

__all__: list[str] = []
