"""A typed event bus within one agent or process: listeners by type, children that bubble up.

This is not the runtime's bus: nothing is queued and nothing leaves the process. It is for the
events of one run (a token, a step, a result), which its caller and whoever observes the parent
want to see in order.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from glob import escape
from typing import Any, Self

log = logging.getLogger("loom.eventbus")

Listener = Callable[[Any], Awaitable[object] | object]


class EventBus:
    """Calls listeners in the order in which they were added, then those of the parent.

    An event is any object with a text attribute `type`. A listener that raises is logged and
    the next one is called.
    """

    def __init__(self, node_id: str, parent: EventBus | None = None) -> None:
        self.node_id = node_id
        self.parent = parent
        self._listeners: list[tuple[str, Listener]] = []

    def create_child(self, node_id: str) -> Self:
        """A bus whose events are seen here too, after its own listeners."""
        return type(self)(node_id, self)

    def on(self, type: str, listener: Listener) -> Callable[[], None]:
        """Call *listener* for events of exactly *type*; returns what removes it."""
        return self.on_pattern(escape(type), listener)

    def on_pattern(self, pattern: str, listener: Listener) -> Callable[[], None]:
        """Call *listener* for types that match *pattern* (`tool_call*`, `step_?`, `*`)."""
        entry = (pattern, listener)
        self._listeners.append(entry)

        def remove() -> None:
            if entry in self._listeners:
                self._listeners.remove(entry)

        return remove

    def on_all(self, listener: Listener) -> Callable[[], None]:
        """Call *listener* for every event."""
        return self.on_pattern("*", listener)

    def off(self, type: str, listener: Listener) -> None:
        """Undo `on`, `on_pattern` or `on_all` (with `*`)."""
        undone = ((type, listener), (escape(type), listener))
        self._listeners = [known for known in self._listeners if known not in undone]

    async def emit(self, event: Any) -> None:
        """Call every listener that wants *event*, here and then in the parents."""
        for pattern, listener in list(self._listeners):
            if fnmatchcase(event.type, pattern):
                await self._call(listener, event)
        if self.parent is not None:
            await self.parent.emit(event)

    async def _call(self, listener: Listener, event: Any) -> None:
        try:
            result = listener(event)
            if isinstance(result, Awaitable):
                await result
        except Exception:
            log.exception("a listener of %s failed on %s", self.node_id, event.type)
