"""What an app author imports: agents, context, capabilities and contracts."""

from __future__ import annotations

__all__: list[str] = []
