"""Reflection: which gRPC services there are, for clients that ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc


class Reflection(reflection_pb2_grpc.ServerReflectionServicer):
    """Reflection over services that come and go."""

    def __init__(self, names: list[str]) -> None:
        self._servicer = self._describe(names)

    def replace(self, names: list[str]) -> None:
        """Describe *names*, and what describes them."""
        self._servicer = self._describe(names)

    async def ServerReflectionInfo(  # noqa: N802  # the name is the protocol's
        self, request_iterator: Any, context: Any
    ) -> AsyncIterator[Any]:
        """See `grpc.reflection.v1alpha`."""
        async for answer in self._servicer.ServerReflectionInfo(request_iterator, context):
            yield answer

    def _describe(self, names: list[str]) -> Any:
        """The one of gRPC; its types have it return something to await, which it does not."""
        all_names = [*names, health.SERVICE_NAME, reflection.SERVICE_NAME]
        return reflection.aio.ReflectionServicer(all_names)
