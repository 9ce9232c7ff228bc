"""Calls of the services that other plugins have the bridge serve."""

from __future__ import annotations

from functools import partial
from typing import Any

import grpc
from loom.bridge import Refused
from loom.contracts import RemoteMethod
from loom_kernel import Host

from loom_plugin_bridge.answering import answered
from loom_plugin_bridge.carriers.grpc import origin_of, token_of
from loom_plugin_bridge.pubsub import Authenticate, Context
from loom_plugin_bridge.services import Services


class RemoteServices(grpc.GenericRpcHandler):
    """Finds what answers a call when it comes: services come and go while the server listens."""

    def __init__(self, host: Host, services: Services, authenticate: Authenticate) -> None:
        self._host = host
        self._services = services
        self._authenticate = authenticate

    def service(self, handler_call_details: Any) -> Any:
        """What answers this call; None if nobody does."""
        method = self._services.find(handler_call_details.method)
        if method is None:
            return None
        return grpc.unary_unary_rpc_method_handler(partial(self._answer, method))

    async def _answer(self, method: RemoteMethod, body: bytes, context: Context) -> bytes:
        with answered(self._host, context):
            client = self._authenticate(token_of(context), origin_of(context))
            if not client.allows_publish(method.topic):
                said = f"{client.name} may not publish {method.topic!r}, which this call needs"
                raise Refused("PERMISSION_DENIED", said)
            return await method.answer(client.name, body)
        return b""
