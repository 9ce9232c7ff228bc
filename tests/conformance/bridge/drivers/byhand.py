"""A session written out by hand, from docs/reference/bridge.md alone: no part of an SDK is here.

This is what a client in another language has to do: number what it says, keep it until the server
has seen it, say it again after a cut, skip what comes twice. Messages are plain dictionaries, as
they stand in JSON; a `Line` moves frames of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from tests.conformance.bridge.drivers.lines import Command, tell

Json = dict[str, Any]
INBOX = -1
BATCH = 256
FIRST_DELAY = 0.02
TELL_EVERY = 64


class Line(Protocol):
    """A connection that moves frames. `ConnectionError` means that it is over."""

    async def open(self, address: str) -> None: ...
    async def send(self, frame: Json) -> None: ...
    async def receive(self) -> Json: ...
    async def close(self) -> None: ...


class Over(Exception):
    """The server said no for good."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


class HandClient:
    """A client of the kit. *make* gives a new line for each connection."""

    spawn: Callable[[Awaitable[None]], None]

    def __init__(self, make: Callable[[], Line]) -> None:
        self._make = make
        self._line: Line | None = None
        self._address = ""
        self._hello: Json = {}
        self._welcome: Json = {}
        self._kept: list[Json] = []
        self._number = self._sent = 0
        self._seen = self._told = 0
        self._is_over = False
        self._open = asyncio.Event()
        self._subs: dict[str, int] = {}
        self._queues: dict[int, asyncio.Queue[Json | None]] = {}
        self._replies: dict[str, asyncio.Future[Json]] = {}
        self._taken: dict[int, asyncio.Future[int]] = {}
        self._results: dict[int, asyncio.Future[Json]] = {}
        self._tools: dict[str, Json] = {}
        self._counter = 0
        self._sending = asyncio.Lock()

    # -- the connection ----------------------------------------------------------------------

    async def connect(self, command: Command) -> None:
        self._address = command["address"]
        self._hello = {"kind": "hello", "token": command["token"], "protocol": 1}
        self._hello |= {name: command[name] for name in ("agent", "metadata") if name in command}
        try:
            await self._greet()
        except Over as over:
            self._is_over = True
            tell("refused", code=over.code)
            return
        tell("connected", name=self._welcome["name"])
        self.spawn(self._keep())
        self.spawn(self._beat())

    async def _greet(self) -> None:
        line = self._make()
        await line.open(self._address)
        try:
            await line.send({"messages": [self._hello]})
            (answer,) = (await line.receive())["messages"]
        except BaseException:
            await line.close()
            raise
        if answer["kind"] == "failure":
            await line.close()
            raise Over(answer["code"])
        self._welcome, self._line = answer, line
        self._hello |= {"session": answer["session"], "key": answer["key"]}
        self._forget(answer.get("seen", 0))
        self._sent = self._number - len(self._kept)  # all that is kept is said again
        self._open.set()
        await self._flush()

    async def _keep(self) -> None:
        """Read until the end; after a cut, connect again."""
        while not self._is_over:
            try:
                while self._line is not None:
                    await self._take_in(await self._line.receive())
            except ConnectionError:
                await self._reconnect()
            except Over as over:
                self._end(over.code)

    async def _reconnect(self) -> None:
        self._open.clear()
        if self._line is not None:
            await self._line.close()
        self._line = None
        while not self._is_over and self._line is None:
            self._hello["seen"] = self._seen
            try:
                await self._greet()
            except OSError:
                await asyncio.sleep(FIRST_DELAY)  # the pause between two attempts of a client
            except Over as over:
                self._end(over.code)

    async def _beat(self) -> None:
        while not self._is_over:
            await asyncio.sleep(self._welcome["heartbeat"] / 2)  # a heartbeat is what it is
            await self._send([])

    def _end(self, code: str) -> None:
        if not self._is_over:
            self._is_over = True
            tell("ended", code=code)

    # -- numbered messages -------------------------------------------------------------------

    async def _say(self, message: Json) -> int:
        self._number += 1
        number = self._number
        self._kept.append(message)
        await self._flush()
        return number

    async def _flush(self) -> None:
        while self._line is not None and (waiting := self._number - self._sent):
            kept = self._kept[-waiting:]
            await self._send(kept[:BATCH])

    async def _send(self, messages: list[Json]) -> None:
        line = self._line
        if line is None:
            return
        first = self._sent + 1
        self._sent += len(messages)
        self._told = self._seen
        with suppress(ConnectionError):  # `_keep` reads that it is over
            await line.send({"first": first, "seen": self._told, "messages": messages})

    def _forget(self, seen: int) -> None:
        left = self._number - seen
        self._kept = self._kept[len(self._kept) - left :] if left else []

    async def _take_in(self, frame: Json) -> None:
        self._forget(max(frame.get("seen", 0), self._number - len(self._kept)))
        messages = frame.get("messages", [])
        for message in messages:  # a fatal failure has no number
            if message["kind"] == "failure" and message.get("fatal"):
                if message["code"] in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                    raise ConnectionError(message["code"])
                raise Over(message["code"])
        first = frame.get("first", 0) or self._seen + 1
        fresh = messages[self._seen + 1 - first :]
        self._seen += len(fresh)
        for message in fresh:
            await getattr(self, f"_on_{message['kind']}")(message)
        if self._seen - self._told >= TELL_EVERY:
            await self._send([])

    # -- what the server says ----------------------------------------------------------------

    async def _on_deliver(self, message: Json) -> None:
        if message["sub"] == INBOX:
            waiting = self._replies.pop(message["event"]["topic"], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(message["event"])
        elif message["sub"] in self._queues:
            self._queues[message["sub"]].put_nowait(message)

    async def _on_taken(self, message: Json) -> None:
        if waiting := self._taken.pop(message["about"], None):
            waiting.set_result(message.get("count", 0))

    async def _on_failure(self, message: Json) -> None:
        if waiting := self._taken.pop(message.get("about", 0), None):
            waiting.set_exception(Over(message["code"]))

    async def _on_result(self, message: Json) -> None:
        if waiting := self._results.pop(message["ref"], None):
            waiting.set_result(message["result"])

    async def _on_cancel(self, message: Json) -> None:
        """The tools of the kit are done before anybody could cancel them."""

    async def _on_call(self, message: Json) -> None:
        call = message["call"]
        arguments = call.get("arguments", {})
        tell("call", name=call["name"], arguments=arguments, caller=call.get("caller", ""))
        answers, result = self._tools[call["name"]], {"id": call.get("id", "")}
        if "code" in answers:
            result |= {"code": answers["code"], "error": {"message": "as it was told to"}}
        else:
            result |= {"code": "ACTION_OK", "output": answers.get("output", arguments)}
        await self._say({"kind": "result", "ref": message["ref"], "result": result})

    # -- what the kit asks for ---------------------------------------------------------------

    async def subscribe(self, command: Command) -> None:
        name = command["as"]
        is_new = name not in self._subs
        if is_new:
            self._subs[name] = 0 if command.get("mailbox") else len(self._subs) + 1
        sub = self._subs[name]
        said = {"kind": "subscribe", "sub": sub, "patterns": command["patterns"]}
        said |= {
            key: command[key] for key in ("qos", "capacity", "group", "types") if key in command
        }
        if is_new:
            self._queues[sub] = asyncio.Queue(100_000)
            self.spawn(self._handle_all(sub, command))
        await self._say(said)

    async def _handle_all(self, sub: int, command: Command) -> None:
        queue = self._queues[sub]
        while (message := await queue.get()) is not None:
            event, number = message["event"], message.get("number", 0)
            tell("event", **{"as": command["as"], "event": event})
            if command.get("then") == "hold":
                continue
            await self._react(command.get("then", "keep"), command.get("to", ""), event, number)
            if number:
                await self._say({"kind": "ack", "ranges": [[number, number]]})

    async def _react(self, then: str, to: str, event: Json, number: int) -> None:
        said = {"kind": "publish", "data": event.get("data"), "cause": number}
        if then == "ask":
            said["data"] = (await self._ask(to, event.get("data"), 5.0, number)).get("data")
        if then == "forward":
            await self._say(said | {"topic": to})
        elif then in ("answer", "ask"):
            fields = {"correlation_id": event["correlation_id"]}
            await self._say(said | {"topic": event["reply_to"], "fields": fields})

    async def unsubscribe(self, command: Command) -> None:
        patterns, sub = command.get("patterns", []), self._subs[command["as"]]
        await self._say({"kind": "unsubscribe", "sub": sub, "patterns": patterns})
        if not patterns:
            self._queues.pop(sub).put_nowait(None)

    async def publish(self, command: Command) -> None:
        said = {"kind": "publish", "topic": command["topic"]}
        said |= {key: command[key] for key in ("type", "fields", "data_base64") if key in command}
        for number in range(command.get("count", 1)):
            value = {} if "data_base64" in command else {"data": command.get("data", number)}
            await self._say(said | value)

    async def _ask(self, topic: str, data: Any, timeout: float, cause: int = 0) -> Json:
        loop = asyncio.get_running_loop()
        self._counter += 1
        inbox = f"$inbox.{self._welcome['session']}.{self._counter}"
        reply: asyncio.Future[Json] = loop.create_future()
        taken: asyncio.Future[int] = loop.create_future()
        self._replies[inbox] = reply
        self._taken[self._number + 1] = taken
        said = {"kind": "publish", "topic": topic, "data": data, "cause": cause, "confirm": True}
        await self._say(said | {"fields": {"reply_to": inbox}})
        async with asyncio.timeout(timeout):
            if await taken == 0:
                raise LookupError(topic)
            return await reply

    async def request(self, command: Command) -> None:
        said = {"as": command["as"]}
        try:
            reply = await self._ask(
                command["topic"], command.get("data"), command.get("timeout", 5.0)
            )
        except LookupError:
            tell("nobody", **said)
        except TimeoutError:
            tell("timeout", **said)
        except Over as refused:
            tell("refused", code=refused.code, **said)
        else:
            tell("reply", event=reply, **said)

    async def offer(self, command: Command) -> None:
        self._tools = {tool["name"]: tool["answers"] for tool in command["tools"]}
        tools = [
            {
                "name": tool["name"],
                "description": "a tool of the kit",
                "parameters": tool.get("parameters", {"type": "object"}),
            }
            for tool in command["tools"]
        ]
        await self._say({"kind": "offer", "tools": tools})

    async def call(self, command: Command) -> None:
        self._counter += 1
        ref = self._counter
        result = self._results[ref] = asyncio.get_running_loop().create_future()
        call = {"name": command["name"], "arguments": command.get("arguments", {})}
        await self._say({"kind": "call", "ref": ref, "call": call})
        done = await result
        code, output = done.get("code", "ACTION_OK"), done.get("output")
        tell("result", **{"as": command["as"], "code": code, "output": output})

    async def leave(self, command: Command) -> None:
        for queue in self._queues.values():
            queue.put_nowait(None)
        self._queues.clear()
        was_over, self._is_over = self._is_over, True
        line = self._line  # it goes when the other end is done, which may be in between
        if line is not None and not was_over:
            await self._say({"kind": "bye"})
            await line.close()
        self._line = None
