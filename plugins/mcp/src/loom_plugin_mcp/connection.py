"""One connection with a server: from its start to its end, in one task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from loom.contracts import canonical
from loom_kernel import Host

from loom_plugin_mcp.configuration import HANDSHAKE, MODERN, PAGES, Server
from loom_plugin_mcp.definitions import LARGEST_LISTING, Definition, define
from loom_plugin_mcp.launch import Launch
from loom_plugin_mcp.pipes import over_pipes
from loom_plugin_mcp.settings import Settings
from loom_plugin_mcp.texts import clean
from loom_plugin_mcp.web import over_web
from loom_plugin_mcp.wire import Incoming, Once, ServerMisbehaves

if TYPE_CHECKING:
    from mcp.client._transport import TransportStreams
    from mcp.client.client import Client


class Callbacks(msgspec.Struct, frozen=True):
    """What a server may call back: see the parameters of the SDK's `Client`."""

    message: Any
    logging: Any
    sampling: Any = None
    elicitation: Any = None


@asynccontextmanager
async def connected(
    host: Host, server: Server, launch: Launch, callbacks: Callbacks, lost: Once
) -> AsyncIterator[Client]:
    """Start *server*, or connect to it, and shake hands; *lost* happens when it is gone.

    Enter and leave it in one task: the SDK's cancel scopes belong to the task.
    """
    from mcp.client.client import Client

    settings: Settings = host.settings
    mode = "legacy" if server.protocol == HANDSHAKE else "auto"
    client = Client(
        _watched(host, server, launch, lost), mode=mode, cache=None, log_level="info",
        read_timeout_seconds=settings.start_timeout, message_handler=callbacks.message,
        logging_callback=callbacks.logging, sampling_callback=callbacks.sampling,
        elicitation_callback=callbacks.elicitation, client_info=_ourselves(),
    )  # fmt: skip
    async with client:
        if server.protocol.startswith(MODERN) and client.protocol_version != server.protocol:
            raise ServerMisbehaves(
                f"it speaks {client.protocol_version}, and `protocol` in [mcp.{server.name}] is "
                f"{server.protocol!r}"
            )
        yield client


def _ourselves() -> Any:
    from importlib.metadata import version

    from mcp_types import Implementation

    return Implementation(name="loom", version=version("loom-plugin-mcp"))


@asynccontextmanager
async def _watched(
    host: Host, server: Server, launch: Launch, lost: Once
) -> AsyncIterator[TransportStreams]:
    settings: Settings = host.settings
    streams: AbstractAsyncContextManager[TransportStreams]
    if server.url:
        streams = over_web(server, settings.max_message, lost)
    else:
        streams = over_pipes(host, server, launch, lost)
    async with streams as (incoming, outgoing):

        def ended() -> None:
            lost.happen("its connection ended")

        yield Incoming(incoming, host.clock, settings.message_rate, ended), outgoing


async def list_tools(client: Client, server: Server, most: int) -> list[Definition]:
    """All tools of *server* that its owner wants, page by page.

    Raises:
        ServerMisbehaves: there are more than *most*, or their definitions are too large.
    """
    if client.server_capabilities.tools is None:
        return []
    found: dict[str, Definition] = {}
    size, cursor = 0, None
    for _ in range(PAGES):
        page = await client.list_tools(cursor=cursor)
        for one in map(define, page.tools):
            if server.wants(one.name):
                found.setdefault(one.name, one)
                size += len(canonical(one.record()))
        if len(found) > most:
            raise ServerMisbehaves(
                f"it has more than {most} tools; choose with `include` in [mcp.{server.name}], "
                "or raise `max_tools`"
            )
        if size > LARGEST_LISTING:
            raise ServerMisbehaves(
                f"the definitions of its tools have more than {LARGEST_LISTING} bytes; "
                f"choose with `include` in [mcp.{server.name}]"
            )
        if (cursor := page.next_cursor) is None:
            return list(found.values())
    raise ServerMisbehaves(f"its listing has more than {PAGES} pages")


def reason_of(error: BaseException) -> str:
    """Why a connection failed, in one line: the innermost of nested groups says it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    text = clean(str(error), 500).replace("\n", " ")
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return text or type(error).__name__
