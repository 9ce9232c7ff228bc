"""What the control socket does for its clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from loom_kernel import Host, check_pattern, encode_json, matches

from loom_plugin_control.requests import (
    MAX_FRAME,
    Ask,
    Publish,
    Request,
    Status,
    Stop,
    Tail,
    Topics,
)
from loom_plugin_control.tap import Tap, event_frame

LAST = 10_000
"""The order of our filter: an onlooker sees what all others let through, as they changed it."""
FULLEST = 20
CLIENT = "cli"
"""What clients publish as: whoever may use the socket is the owner."""


class Answer:
    """The way back to one client."""

    def __init__(
        self,
        send: Callable[[bytes], Awaitable[None]],
        while_connected: Callable[[], AbstractAsyncContextManager[None]],
    ) -> None:
        self.send = send
        """Send one line."""
        self.while_connected = while_connected
        """Cancels what runs inside when the client goes away."""

    async def result(self, value: Any) -> None:
        """Send the last line."""
        line = encode_json({"result": value})
        if len(line) >= MAX_FRAME:
            raise ValueError(f"the answer has {len(line)} bytes, at most {MAX_FRAME} are sent")
        await self.send(line)


class Operations:
    """Answers requests. What clients publish carries the sender `cli`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        host.world.names[CLIENT] = host.name
        self._client = host.scope(CLIENT)
        self.taps: dict[Tap, None] = {}

    async def run(self, request: Request, answer: Answer) -> None:
        """Do what *request* asks.

        Raises:
            LoomError, ValueError: it cannot be done; the text is for the client.
        """
        match request:
            case Status():
                await answer.result(self._status())
            case Topics():
                await self._topics(request, answer)
            case Publish():
                await self._publish(request, answer)
            case Ask():
                await self._ask(request, answer)
            case Tail():
                await self._tail(request, answer)
            case Stop():
                self._host.log.info("asked to stop")
                await answer.result({})
                self._host.stop_runtime()

    def close(self, reason: str) -> None:
        """Tell everybody who watches that it is over."""
        for tap in self.taps:
            tap.close(reason)

    def _status(self) -> dict[str, Any]:
        """The runtime's own words, with the queues that matter instead of all there are."""
        status = self._host.status()
        del status["topics"]
        queues = status.pop("subscriptions")
        notable = [queue for queue in queues if queue["queued"] or queue["dropped"]]
        notable.sort(key=lambda queue: (queue["queued"], sum(queue["dropped"].values())))
        return {**status, "subscriptions": len(queues), "queues": notable[: -FULLEST - 1 : -1]}

    async def _topics(self, request: Topics, answer: Answer) -> None:
        patterns = [check_pattern(pattern) for pattern in request.patterns]
        count = 0
        for topic in self._host.status()["topics"]:
            if not patterns or any(matches(pattern, topic["topic"]) for pattern in patterns):
                count += 1
                await answer.send(encode_json({"item": topic}))
        await answer.result({"topics": count})

    async def _publish(self, request: Publish, answer: Answer) -> None:
        if request.topic.startswith("$"):
            raise ValueError(f"{request.topic!r}: topics that begin with $ are the runtime's own")
        taken = await self._client.publish(
            request.topic, request.data, request.type, subject=request.subject
        )
        await answer.result({"taken": taken})

    async def _ask(self, request: Ask, answer: Answer) -> None:
        async with answer.while_connected():
            reply = await self._client.request(
                request.topic,
                request.data,
                request.type,
                timeout=request.timeout,
                subject=request.subject,
            )
        await answer.send(event_frame(reply))

    async def _tail(self, request: Tail, answer: Answer) -> None:
        tap = Tap(request)
        onlooker = self._host.scope("tail")
        try:
            onlooker.add_filter(tap.take, *tap.patterns, order=LAST)
            self.taps[tap] = None
            await answer.send(encode_json({"result": {"patterns": tap.patterns}}))
            async with answer.while_connected(), aclosing(tap.frames()) as frames:
                async for frame in frames:
                    await answer.send(frame)
        finally:
            self.taps.pop(tap, None)
            await onlooker.aclose()
