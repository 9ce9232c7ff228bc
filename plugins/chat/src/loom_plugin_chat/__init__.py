"""`loom chat`: a terminal that shows what an agent tells, and takes what a person says."""

from __future__ import annotations

__all__: list[str] = []
