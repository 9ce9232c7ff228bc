"""Tools that came in archives: into an app, out of it, and whether they are what they were."""

from __future__ import annotations

__all__: list[str] = []
