"""Sandbox: confines the programs that Loom starts."""

from __future__ import annotations

__all__: list[str] = []
