"""What runs in a worker: the process in which guests run. It imports nothing of Loom's kernel."""

from __future__ import annotations

__all__: list[str] = []
