"""The audit: what was done, by whom, in an order that cannot be changed unnoticed."""

from __future__ import annotations

from typing import Any, Protocol


class Audit(Protocol):
    """An append-only record of what matters to whoever answers for this Loom."""

    def record(self, event: str, who: str, what: str, **details: Any) -> None:
        """Append one entry: *who* did *event* (`tool.call.completed`) to or with *what*.

        It is with the operating system when this returns. *details* are JSON values.

        Raises:
            LoomError: it cannot be written; do not do what was to be recorded.
        """
        ...
