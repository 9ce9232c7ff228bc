"""The tool calls that a session's client asks for: each a task, through the broker like all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from loom import call_tool
from loom.bridge import messages, problem_of
from loom.contracts import ToolCall, ToolFailure, ToolResult
from loom_kernel import Envelope, Host, current

from loom_plugin_bridge.access import Grant, Scope
from loom_plugin_bridge.publishing import Client

AT_ONCE = 64
"""Calls of one session that may run at once."""


class Calls:
    """Runs calls in the name of *host*.

    *learn* is told with which labels the result of a call came that a delivery caused.
    """

    def __init__(
        self, client: Client, host: Host, grant: Grant, scope: Scope,
        learn: Callable[[int, frozenset[str]], None],
    ) -> None:  # fmt: skip
        self._client = client
        self._host = host
        self._grant = grant
        self._scope = scope
        self._learn = learn
        self._running: dict[int, asyncio.Task[None]] = {}

    def start(self, message: messages.Call, cause: Envelope | None) -> None:
        """Run the call; its `Result` follows."""
        call = message.call
        if message.ref in self._running:
            self._refuse(message, "INVALID_PARAMS", f"call {message.ref} runs already")
        elif len(self._running) >= AT_ONCE:
            self._refuse(message, "PROVIDER_UNAVAILABLE", f"{AT_ONCE} calls run already")
        elif not self._grant.may_call(call.name):
            no = f"token {self._grant.name!r} may not call {call.name}"
            self._refuse(message, "PERMISSION_DENIED", no)
        elif problem := problem_of(call.arguments):
            self._refuse(message, "INVALID_PARAMS", f"the arguments cannot be passed on: {problem}")
        else:
            task = self._host.spawn(self._run(message, cause), f"call/{call.name}")
            self._running[message.ref] = task
            task.add_done_callback(lambda _: self._running.pop(message.ref, None))

    def cancel(self, ref: int) -> None:
        """The outcome is not wanted any more."""
        if task := self._running.get(ref):
            task.cancel()

    def _refuse(self, message: messages.Call, code: str, reason: str) -> None:
        outcome = {"id": message.call.id, "code": code, "error": {"message": reason}}
        result = msgspec.convert(outcome, ToolResult)
        self._client.say(messages.Result(message.ref, result))

    async def _run(self, message: messages.Call, cause: Envelope | None) -> None:
        current.set(cause)
        result = await self._call(message.call)
        if (known := current.get()) is not None:
            self._learn(message.cause, known.labels)
        self._client.say(messages.Result(message.ref, result))

    async def _call(self, call: ToolCall) -> ToolResult:
        """A namespace's own tools come first, then those that everybody shares."""
        own = msgspec.structs.replace(call, name=self._scope.name(call.name))
        result = await call_tool(self._host, own)
        if self._scope.is_open or result.code != "CAPABILITY_ERROR":
            return result
        if "/" not in call.name:  # that would be another namespace's own
            result = await call_tool(self._host, call)
        if result.code == "CAPABILITY_ERROR":  # its hints may name what others have
            missing = ToolFailure(f"there is no tool {call.name!r} {call.version}".rstrip())
            result = msgspec.structs.replace(result, error=missing)
        return result
