"""A client made with the Python SDK; the address that it is told chooses the carrier."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from loom import call_tool
from loom.bridge import BridgeError, connect
from loom.contracts import RemoteTools, ToolCall, ToolDescriptor, ToolFailure, ToolResult
from loom_kernel import Envelope, Host, LoomError, NoResponders, RequestTimeout, Subscription

from tests.conformance.bridge.drivers.lines import Command, run, tell


class SdkClient:
    """Says what it is told to through a `Host`."""

    host: Host
    spawn: Callable[[Awaitable[None]], None]

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._agent = ""
        self._subscriptions: dict[str, Subscription] = {}

    async def connect(self, command: Command) -> None:
        self._agent = command.get("agent", "")
        options = {name: command[name] for name in ("token", "metadata") if name in command}
        try:
            self.host = await self._stack.enter_async_context(
                connect(command["address"], agent=self._agent, **options)
            )
        except BridgeError as error:
            tell("refused", code=error.code)
            return
        self.host.spawn(self._wait_end(), "end")
        tell("connected", name=self.host.name)

    async def _wait_end(self) -> None:
        ended = self.host.world.stop_requested
        assert ended is not None  # `connect` sets it
        await ended.wait()
        tell("ended")

    async def subscribe(self, command: Command) -> None:
        name = command["as"]
        if known := self._subscriptions.get(name):
            for pattern in command["patterns"]:
                known.add(pattern)
            return
        names = ("qos", "capacity", "group")
        options: dict[str, Any] = {key: command[key] for key in names if key in command}
        if "types" in command:
            options["types"] = tuple(command["types"])
        if command.get("mailbox"):
            options["name"] = f"agent:{self._agent}"

        async def handle(event: Envelope) -> None:
            tell("event", **{"as": name, "event": json.loads(event.to_json())})
            await self._react(command.get("then", "keep"), command.get("to", ""), event)

        self._subscriptions[name] = self.host.on(*command["patterns"], handler=handle, **options)

    async def _react(self, then: str, to: str, event: Envelope) -> None:
        match then:
            case "answer":
                await self.host.reply(event, event.data)
            case "forward":
                await self.host.publish(to, event.data)
            case "ask":
                reply = await self.host.request(to, event.data)
                await self.host.reply(event, reply.data)
            case "hold":
                await asyncio.Event().wait()

    async def unsubscribe(self, command: Command) -> None:
        patterns = command.get("patterns", [])
        for pattern in patterns:
            self._subscriptions[command["as"]].remove(pattern)
        if not patterns:
            self._subscriptions.pop(command["as"]).close()

    async def publish(self, command: Command) -> None:
        fields = command.get("fields", {})
        for number in range(command.get("count", 1)):
            data = command.get("data", number)
            if "data_base64" in command:
                data = base64.b64decode(command["data_base64"])
            await self.host.publish(command["topic"], data, command.get("type", ""), **fields)

    async def request(self, command: Command) -> None:
        said = {"as": command["as"]}
        timeout = command.get("timeout", 5.0)
        try:
            reply = await self.host.request(command["topic"], command.get("data"), timeout=timeout)
        except NoResponders:
            tell("nobody", **said)
        except RequestTimeout:
            tell("timeout", **said)
        except BridgeError as error:
            tell("refused", code=error.code, **said)
        else:
            tell("reply", event=json.loads(reply.to_json()), **said)

    async def offer(self, command: Command) -> None:
        answers = {tool["name"]: tool["answers"] for tool in command["tools"]}

        async def answer(call: ToolCall) -> ToolResult:
            tell("call", name=call.name, arguments=dict(call.arguments), caller=call.caller)
            return _result(call, answers[call.name])

        tools = [_descriptor(tool) for tool in command["tools"]]
        self.host.require(RemoteTools).offer(tools, answer)

    async def call(self, command: Command) -> None:
        call = ToolCall(command["name"], command.get("arguments", {}))
        result = await call_tool(self.host, call)
        tell("result", **{"as": command["as"], "code": result.code, "output": result.output})

    async def leave(self, command: Command) -> None:
        try:
            await self._stack.aclose()
        except LoomError as error:
            tell("problem", message=str(error))


def _descriptor(tool: dict[str, Any]) -> ToolDescriptor:
    parameters = tool.get("parameters", {"type": "object"})
    return ToolDescriptor(tool["name"], "a tool of the kit", parameters)


def _result(call: ToolCall, answers: dict[str, Any]) -> ToolResult:
    if "code" in answers:
        return ToolResult(call.id, answers["code"], error=ToolFailure("as it was told to"))
    return ToolResult(call.id, output=answers.get("output", dict(call.arguments)))


if __name__ == "__main__":
    run(SdkClient)
