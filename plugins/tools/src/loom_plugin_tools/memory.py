"""Whether a call has happened already: what a journal remembers of it, if one runs.

A tool that only reads is run again; so is one that says that this is the same as running it once.
Any other is written down before it runs, and what came of it after; if a crash lies between, nobody
knows, and that is said rather than the tool run a second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from loom.contracts import (
    Effect,
    Effects,
    ToolCall,
    ToolDescriptor,
    ToolError,
    ToolResult,
    canonical,
)
from loom.pins import fingerprint
from loom_kernel import Envelope, Host, ServiceMissing

from loom_plugin_tools.results import Outcome

Run = Callable[[], Awaitable[Outcome]]
OPEN = ("ACTION_TIMEOUT", "OUTCOME_UNKNOWN")
"""Codes after which a tool may have done what it was asked; so may one that was cancelled."""

_decode = msgspec.json.Decoder(tuple[ToolResult, frozenset[str]]).decode


class Memory:
    """Lets a call that changes something happen once, whatever ends this Loom meanwhile."""

    def __init__(self, host: Host) -> None:
        try:
            self._effects: Effects | None = host.require(Effects)
        except ServiceMissing:
            self._effects = None

    def id_of(self, call: ToolCall, cause: Envelope) -> str:
        """The id by which *call* is known when its cause is handled again; empty if it is not."""
        if self._effects is None:
            return ""
        what = f"{call.name}/{fingerprint(call.arguments)[:16]}"
        return self._effects.name(call.caller, cause, what)

    def tell(self, cause: Envelope, call: ToolCall, outcome: Outcome) -> None:
        """*call* had this outcome."""
        if self._effects is not None:
            self._effects.told(cause, call, *outcome)

    async def once(self, tool: ToolDescriptor, call: ToolCall, run: Run) -> Outcome:
        """*run*, or what came of it before.

        Raises:
            ToolError: OUTCOME_UNKNOWN, and whatever *run* raises.
            LoomError: it cannot be written down; nothing has run.
        """
        if self._effects is None or tool.hints.read_only:
            return await run()
        effect = Effect(
            call.caller, call.id, tool.name, fingerprint(call.arguments),
            is_repeatable=tool.hints.idempotent,
        )  # fmt: skip
        known = await self._effects.begin(effect)
        if known is not None:
            return _decode(known) if known else _settled(call)
        outcome: Outcome | None = None
        is_open = True
        try:
            outcome = await run()
            is_open = outcome[0].code in OPEN
            return outcome
        except ToolError as error:
            is_open = error.code in OPEN
            raise
        finally:
            if not is_open:
                is_done = outcome is not None and outcome[0].is_ok
                await self._effects.end(effect, canonical(outcome) if is_done else None)


def _settled(call: ToolCall) -> Outcome:
    """What is known of a call of which a person has said that it happened."""
    return ToolResult(call.id), frozenset()
