"""What `loom undo` asks a running Loom: only its owner, at the control socket, is answered."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from loom.contracts import read
from loom_kernel import Envelope, Host, InvalidEnvelope

from loom_plugin_native.errors import WorkspaceError
from loom_plugin_native.history import Author, CannotUndo, Change, History

LIST, REVERT = "undo.list", "undo.revert"
OWNER = "cli"
"""The sender of what comes over the control socket."""


class Wish(msgspec.Struct, frozen=True):
    """Undo the change with that number or call id (the latest, if empty)."""

    which: str = ""
    force: bool = False


class Undoing:
    """Answers `undo.list` and `undo.revert`."""

    def __init__(self, host: Host, history: History) -> None:
        self._host = host
        self._history = history

    def open(self) -> None:
        """Listen."""
        self._host.on(LIST, handler=self._list, name="native:undo-list")
        self._host.on(REVERT, handler=self._revert, name="native:undo-revert")

    async def _list(self, envelope: Envelope) -> None:
        if envelope.sender != OWNER:
            await self._refuse(envelope)
            return
        found = await asyncio.to_thread(self._history.changes)
        answer = {"code": "ACTION_OK", "changes": [describe(change) for change in found]}
        await self._host.reply(envelope, answer)

    async def _revert(self, envelope: Envelope) -> None:
        if envelope.sender != OWNER:
            await self._refuse(envelope)
            return
        author = Author(envelope.id, envelope.sender, "undo", self._host.clock.time())
        answer: dict[str, Any]
        try:
            wish = read(envelope, Wish)
            undo = self._history.undo
            change = await asyncio.to_thread(undo, wish.which, author, is_forced=wish.force)
        except InvalidEnvelope as error:
            answer = {"code": "INVALID_PARAMS", "message": str(error)}
        except (CannotUndo, WorkspaceError) as error:
            answer = {"code": "ACTION_ERROR", "message": str(error)}
        else:
            self._host.log.info("undone: change %d of %r", change.number, change.path)
            answer = {"code": "ACTION_OK", "undone": describe(change)}
        await self._host.reply(envelope, answer)

    async def _refuse(self, envelope: Envelope) -> None:
        if envelope.reply_to:
            message = "only the owner may look at changes and undo them: run `loom undo`"
            await self._host.reply(envelope, {"code": "PERMISSION_DENIED", "message": message})


def describe(change: Change) -> dict[str, Any]:
    """A change as it is shown."""
    return {
        "number": change.number, "time": change.time, "path": change.path, "tool": change.tool,
        "caller": change.caller, "call": change.call, "before": change.before.kind,
        "before_bytes": change.before.size, "after": change.after.kind,
        "after_bytes": change.after.size, "can_be_undone": change.can_be_undone,
    }  # fmt: skip
