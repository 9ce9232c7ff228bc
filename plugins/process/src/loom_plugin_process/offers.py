"""A plugin's tools on the bus: announced while it runs, and each call handed over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc
from loom import ToolProvider
from loom.contracts import ToolCall, ToolDescriptor, ToolError, ToolResult
from loom.plugin import wire
from loom.plugin.wire import pb
from loom_kernel import Host, LoomError

from loom_plugin_process.answers import Answer
from loom_plugin_process.failures import explain, lost
from loom_plugin_process.line import Line
from loom_plugin_process.pace import Pace


class Offers:
    """Offers under the name of *host*; *on_unfinished* hears of calls whose end was not heard.

    While the plugin is started again they stay announced, and calls get PROVIDER_UNAVAILABLE.
    A call that is cancelled, or whose deadline is over, ends here at once; whether the plugin
    ends it too is another's to see, by the call's id.
    """

    def __init__(
        self, host: Host, limit: int, pace: Pace, on_unfinished: Callable[[Line, str], None]
    ) -> None:
        self.running: Counter[str] = Counter()
        """The ids of the calls that are waited for."""
        self._host = host
        self._provider = ToolProvider(host, limit=limit)
        self._pace = pace
        self._on_unfinished = on_unfinished
        self._tools: dict[tuple[str, str], ToolDescriptor] = {}
        self._reporting: frozenset[str] = frozenset()
        self._line: Line | None = None
        self._is_started = False

    @property
    def names(self) -> list[str]:
        """What is offered now."""
        return sorted({name for name, _ in self._tools})

    async def open(self, line: Line, answer: Answer) -> None:
        """Offer what *answer* lists; it is called over *line*."""
        self._line = line
        self._reporting = answer.reporting
        tools = {(tool.name, tool.version): tool for tool in answer.tools}
        if self._tools.keys() - tools.keys():
            await self.close()  # it offers less than the process before it
            self._line = line
        self._tools = tools
        for tool in answer.tools:
            self._provider.add(tool, self.answer)
        await self.expect(are_to_come=False)

    async def expect(self, *, are_to_come: bool) -> None:
        """Whether the tools of this name are there soon: then calls wait for them."""
        self._provider.awaited = frozenset({self._host.name} if are_to_come else ())
        if self._is_started:
            await self._provider.announce()
        else:
            self._is_started = True
            await self._provider.start()

    def pause(self) -> None:
        """The plugin is down: calls are refused until `open`."""
        self._line = None

    async def close(self) -> None:
        """Offer nothing any more."""
        self._line = None
        await self.expect(are_to_come=False)
        if not self._tools:
            return
        try:
            await self._provider.withdraw()
        except LoomError as late:  # the runtime is stopping
            self._host.log.debug("%s", late)
        for name, version in self._tools:
            self._provider.remove(name, version)
        self._tools = {}

    # -- calls -------------------------------------------------------------------------------

    async def answer(self, call: ToolCall) -> Any:
        """Have the plugin run *call*: its output, or a `ToolError`."""
        line, tool = self._line, self._tools.get((call.name, call.version))
        if line is None or tool is None:
            gone = f"{self._host.name!r} is being started again; see `loom process list`"
            raise ToolError(call.name, "PROVIDER_UNAVAILABLE", gone)
        self.running[call.id] += 1
        try:
            return _output(call, await self._ask(line, tool, call))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                self._on_unfinished(line, call.id)
            raise explain(self._host.name, tool, error) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                self._on_unfinished(line, call.id)
                raise
            raise lost(self._host.name, tool) from None  # the line was hung up
        finally:
            self.running[call.id] -= 1
            if not self.running[call.id]:
                del self.running[call.id]

    async def _ask(self, line: Line, tool: ToolDescriptor, call: ToolCall) -> Any:
        if tool.name in self._reporting:
            return await self._ask_for_news(line, call)
        request = pb.CallRequest()
        wire.write_call(call, request.call)
        encoded = request.SerializeToString()
        _check_size(line, call, len(encoded))
        return (await line.call(encoded, call.timeout)).result

    async def _ask_for_news(self, line: Line, call: ToolCall) -> Any:
        async def tell(news: pb.Progress) -> None:
            await self._pace.wait()
            await self._provider.progress(call, news.done, news.total, news.message[:500])

        request = pb.CallStreamRequest()
        wire.write_call(call, request.call)
        _check_size(line, call, request.ByteSize())
        return await line.call_stream(request, call.timeout, tell)


def _check_size(line: Line, call: ToolCall, size: int) -> None:
    if size > line.frame:
        too_long = f"the arguments make a message of {size} bytes; its plugin takes {line.frame}"
        raise ToolError(call.name, "INVALID_PARAMS", too_long)


def _output(call: ToolCall, answered: Any) -> Any:
    """The output in what was answered.

    Raises:
        ToolError: it is a failure, or makes no sense.
    """
    if answered is None:
        raise ToolError(call.name, "ACTION_ERROR", "its plugin ended the call without a result")
    try:
        result: ToolResult = wire.read_result(answered)
    except (ValueError, KeyError) as error:
        wrong = f"its plugin answered wrongly: {error}"
        raise ToolError(call.name, "ACTION_ERROR", wrong) from None
    if result.is_ok:
        return result.output
    message = result.error.message if result.error else "it did not say why"
    details = result.error.details if result.error else {}
    raise ToolError(call.name, result.code, message, details)
