"""The line to one plugin: `PluginService`, called over a Unix socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from loom.plugin import SERVICE
from loom.plugin.wire import pb

SLACK = 1024
"""Bytes by which gRPC's own limit is above ours for what is sent: ours says better what it is."""


class Line:
    """A warm channel to the plugin that listens on *address* and expects *token*.

    *frame* is the longest message that is taken, in bytes. What fails is a `grpc.aio.AioRpcError`.
    """

    def __init__(self, address: str, token: str, frame: int) -> None:
        self.frame = frame
        self._channel = grpc.aio.insecure_channel(
            f"unix:{address}",
            options=[
                ("grpc.max_receive_message_length", frame),
                ("grpc.max_send_message_length", frame + SLACK),
                ("grpc.max_metadata_size", 16 << 10),
                ("grpc.enable_retries", 0),
                ("grpc.enable_http_proxy", 0),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.default_authority", "localhost"),  # a path is no authority for Node
            ],
        )
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._init = self._unary("Init", pb.InitResponse)
        self._handle = self._unary("HandleEvent", pb.HandleEventResponse)
        self._call: Any = self._channel.unary_unary(
            f"/{SERVICE}/Call", response_deserializer=pb.CallResponse.FromString
        )
        self._health = self._unary("Health", pb.HealthResponse)
        self._shutdown = self._unary("Shutdown", pb.ShutdownResponse)
        self._stream: Any = self._channel.unary_stream(
            f"/{SERVICE}/CallStream",
            request_serializer=pb.CallStreamRequest.SerializeToString,
            response_deserializer=pb.CallStreamResponse.FromString,
        )

    def _unary(self, method: str, response: Any) -> Callable[..., Awaitable[Any]]:
        made: Any = self._channel.unary_unary(
            f"/{SERVICE}/{method}",
            request_serializer=_to_bytes,
            response_deserializer=response.FromString,
        )
        return made  # type: ignore[no-any-return]  # grpc's own types do not say what it takes

    async def init(self, request: pb.InitRequest, seconds: float) -> pb.InitResponse:
        answer: pb.InitResponse = await self._init(
            request, timeout=seconds, metadata=self._metadata
        )
        return answer

    def call(self, request: bytes, seconds: float) -> Awaitable[pb.CallResponse]:
        """Call a tool; *request* is a `CallRequest` as it goes over the wire."""
        answer: Awaitable[pb.CallResponse] = self._call(
            request, timeout=seconds, metadata=self._metadata
        )
        return answer

    async def call_stream(
        self,
        request: pb.CallStreamRequest,
        seconds: float,
        on_progress: Callable[[pb.Progress], Awaitable[None]],
    ) -> Any:
        """The result; *on_progress* is called with what comes before. None if none came."""
        running = self._stream(request, timeout=seconds, metadata=self._metadata)
        try:
            async for news in running:
                if news.HasField("result"):
                    return news.result
                await on_progress(news.progress)
        finally:
            running.cancel()
        return None

    async def handle(self, request: pb.HandleEventRequest, seconds: float) -> Any:
        return await self._handle(request, timeout=seconds, metadata=self._metadata)

    async def health(self, seconds: float) -> pb.HealthResponse:
        answer: pb.HealthResponse = await self._health(
            pb.HealthRequest(), timeout=seconds, metadata=self._metadata
        )
        return answer

    async def shutdown(self, grace: float, seconds: float) -> None:
        """Ask it to finish within *grace* and end."""
        request = pb.ShutdownRequest(grace=grace)
        await self._shutdown(request, timeout=seconds, metadata=self._metadata)

    async def aclose(self) -> None:
        """Hang up; calls that run end as lost."""
        await self._channel.close()


def _to_bytes(message: Any) -> bytes:
    encoded: bytes = message.SerializeToString()
    return encoded
