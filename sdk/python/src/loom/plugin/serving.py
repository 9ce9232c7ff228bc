"""The process of a plugin, from its first line to its end."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import grpc
from loom_kernel import LoomError

from loom.contracts import ToolCall, ToolError, ToolFailure, ToolResult
from loom.plugin import wire
from loom.plugin.authoring import Call, Plugin, emissions
from loom.plugin.handshake import (
    FOLDER,
    PROTOCOLS,
    SERVICE,
    TOKEN_DESCRIPTOR,
    Handshake,
    choose_protocol,
)
from loom.plugin.wire import pb

log = logging.getLogger("loom.plugin")

SOCKET = "plugin.sock"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
"""The runtime has its own limit for frames, and says so better."""
PRIORITIES = {10: 7, 20: 6, 30: 4, 40: 3, 50: 2}
"""sd-daemon's numbers: whoever reads a line that begins with `<3>` knows that it is an error."""


def serve(plugin: Plugin) -> int:
    """Serve *plugin* to the runtime that started this process; the exit code."""
    descriptor, folder = os.environ.get(TOKEN_DESCRIPTOR, ""), os.environ.get(FOLDER, "")
    if not descriptor.isdecimal() or not folder:
        sys.stderr.write(
            "This is a plugin of Loom, which starts it itself: name its command in the table "
            "[process.<name>] of loom.toml.\n"
        )
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the runtime's business
    _log_to_errors()
    with os.fdopen(int(descriptor), "rb") as file:
        token = file.read().decode("ascii")
    asyncio.run(_serve(Service(plugin, token), Path(folder, SOCKET)))
    return 0


def _log_to_errors() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Marked("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


class _Marked(logging.Formatter):
    """Says at the beginning of each line how bad it is."""

    def format(self, record: logging.LogRecord) -> str:
        mark = f"<{PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(mark + line for line in super().format(record).splitlines())


async def _serve(service: Service, socket: Path) -> None:
    server = grpc.aio.server(options=UNLIMITED)
    server.add_generic_rpc_handlers((service.handlers(),))
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    await asyncio.to_thread(socket.chmod, 0o600)
    asyncio.get_running_loop().add_reader(0, service.heard, 0)
    protocol = choose_protocol(os.environ.get(PROTOCOLS, ""))
    sys.stdout.write(f"{Handshake(protocol, str(socket))}\n")
    sys.stdout.flush()
    await server.stop(await service.wait_ended())


class Service:
    """`PluginService` for one plugin; whoever does not know *token* is refused."""

    def __init__(self, plugin: Plugin, token: str) -> None:
        self._plugin = plugin
        self._expected = f"Bearer {token}".encode()
        self._running: Counter[str] = Counter()
        self._ended = asyncio.Event()
        self._grace = 0.0

    def handlers(self) -> grpc.GenericRpcHandler:
        """What a gRPC server serves."""
        unary: dict[str, tuple[Any, Any, Any]] = {
            "Init": (self.init, pb.InitRequest, pb.InitResponse),
            "HandleEvent": (self.handle_event, pb.HandleEventRequest, pb.HandleEventResponse),
            "Call": (self.call, pb.CallRequest, pb.CallResponse),
            "Health": (self.health, pb.HealthRequest, pb.HealthResponse),
            "Shutdown": (self.shutdown, pb.ShutdownRequest, pb.ShutdownResponse),
        }
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(
                method, request.FromString, response.SerializeToString
            )
            for name, (method, request, response) in unary.items()
        }
        methods["CallStream"] = grpc.unary_stream_rpc_method_handler(
            self.call_stream,
            pb.CallStreamRequest.FromString,
            pb.CallStreamResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def heard(self, descriptor: int) -> None:
        """Read standard input: its end is that of the runtime, however that came."""
        if not os.read(descriptor, 4096):
            asyncio.get_running_loop().remove_reader(descriptor)
            self._ended.set()

    async def wait_ended(self) -> float:
        """Wait until it should end; seconds that what runs has for that."""
        await self._ended.wait()
        return self._grace

    def _is_admitted(self, context: Any) -> bool:
        """Whether the caller knows the token."""
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                return hmac.compare_digest(value.encode(), self._expected)
        return False

    # -- the calls ---------------------------------------------------------------------------

    async def init(self, request: pb.InitRequest, context: Any) -> pb.InitResponse:
        if not self._is_admitted(context):
            await refuse(context)
        plugin = self._plugin
        plugin.name = request.name
        plugin.settings = wire.read_json(request.settings, dict[str, Any], {})
        plugin.permissions = tuple(request.permissions)
        plugin.state_dir = Path(request.state_dir) if request.state_dir else None
        try:
            for starter in plugin.starters:
                await starter()
        except Exception as error:  # it is the author's code
            log.exception("the plugin cannot start")
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, _summary(error))
        response = pb.InitResponse(version=plugin.version, patterns=list(plugin.handlers))
        response.types.extend(wire.write_types(plugin.types))
        for tool in plugin.tools.values():
            wire.write_descriptor(tool.descriptor, response.tools.add())
            if tool.reports:
                response.reporting.append(tool.descriptor.name)
        return response

    async def health(self, request: pb.HealthRequest, context: Any) -> pb.HealthResponse:
        if not self._is_admitted(context):
            await refuse(context)
        running = list(self._running)
        metrics = {"calls": float(self._running.total())}
        return pb.HealthResponse(healthy=True, running=running, metrics=metrics)

    async def shutdown(self, request: pb.ShutdownRequest, context: Any) -> pb.ShutdownResponse:
        if not self._is_admitted(context):
            await refuse(context)
        self._grace = 0.0 if request.force else request.grace
        self._ended.set()
        return pb.ShutdownResponse()

    async def call(self, request: pb.CallRequest, context: Any) -> pb.CallResponse:
        if not self._is_admitted(context):
            await refuse(context)
        response = pb.CallResponse()
        wire.write_result(await self._run(wire.read_call(request.call), None), response.result)
        return response

    async def call_stream(self, request: pb.CallStreamRequest, context: Any) -> None:
        if not self._is_admitted(context):
            await refuse(context)

        async def tell(done: float, total: float, message: str) -> None:
            news = pb.Progress(done=done, total=total, message=message)
            await context.write(pb.CallStreamResponse(progress=news))

        response = pb.CallStreamResponse()
        wire.write_result(await self._run(wire.read_call(request.call), tell), response.result)
        await context.write(response)

    async def _run(self, call: ToolCall, tell: Any) -> ToolResult:
        tool = self._plugin.tools.get((call.name, call.version))
        if tool is None:
            missing = f"{self._plugin.name!r} has no {call.name} {call.version}"
            return ToolResult(call.id, "CAPABILITY_ERROR", error=ToolFailure(missing))
        self._running[call.id] += 1
        try:
            return ToolResult(call.id, output=await tool.run(Call(call, tell)))
        except ToolError as error:
            return ToolResult(call.id, error.code, error=ToolFailure(error.message, error.details))
        except Exception as error:  # it is the author's code
            log.exception("tool %s failed", call.name)
            return ToolResult(call.id, "ACTION_ERROR", error=ToolFailure(_summary(error)))
        finally:
            self._finished(call.id)

    def _finished(self, id: str) -> None:
        self._running[id] -= 1
        if not self._running[id]:
            del self._running[id]

    async def handle_event(
        self, request: pb.HandleEventRequest, context: Any
    ) -> pb.HandleEventResponse:
        if not self._is_admitted(context):
            await refuse(context)
        event = wire.read_event(request.event)
        response = pb.HandleEventResponse()
        self._running[event.id] += 1
        try:
            for handler in self._plugin.handlers_of(event.topic):
                for emission in emissions(await handler(event)):
                    wire.write_emission(emission, response.events.add())
        except Exception as error:  # it is the author's code
            log.exception("an event on %s failed", event.topic)
            await context.abort(grpc.StatusCode.INTERNAL, _summary(error))
        finally:
            self._finished(event.id)
        return response


async def refuse(context: Any) -> NoReturn:
    """End the call of somebody who does not know the token."""
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "not the token of this process")
    raise AssertionError("an aborted call goes on")


def _summary(error: Exception) -> str:
    said = str(error)[:500]
    return said if isinstance(error, LoomError) else f"{type(error).__name__}: {said}"
