"""Runs stateful agents: mailboxes, durable state, supervision, directories."""

from __future__ import annotations

__all__: list[str] = []
