"""Resources and prompts of servers, for whoever asks on the bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from loom.contracts import ErrorCode, ToolError

from loom_plugin_mcp.configuration import MODERN, PAGES
from loom_plugin_mcp.contents import contents_of, parts, prompt_of
from loom_plugin_mcp.texts import clean

if TYPE_CHECKING:
    from mcp.client.client import Client

    from loom_plugin_mcp.supervised import Supervised

MOST = 2_000
"""Resources or prompts of one server that are listed."""


class Wanted(msgspec.Struct, frozen=True):
    """The data of every request."""

    server: str = ""
    uri: str = ""
    name: str = ""
    arguments: dict[str, Any] = {}
    digest: str = ""
    client: str = ""
    reason: str = ""


Reach: TypeAlias = "Callable[[Client, Supervised, Wanted], Awaitable[dict[str, Any]]]"


async def asked(server: Supervised, reach: Reach, wanted: Wanted) -> dict[str, Any]:
    """What *reach* gets from *server*.

    Raises:
        ToolError: PROVIDER_UNAVAILABLE, it is not connected; ACTION_ERROR or ACTION_TIMEOUT, it
            does not answer as it should.
    """
    from mcp import MCPError
    from mcp_types import REQUEST_TIMEOUT

    what = f"mcp/{server.server.name}"
    if server.client is None:
        gone = f"the server {server.server.name!r} is {server.state}"
        raise ToolError(what, "PROVIDER_UNAVAILABLE", gone)
    try:
        return await reach(server.client, server, wanted)
    except MCPError as error:
        code: ErrorCode = "ACTION_TIMEOUT" if error.code == REQUEST_TIMEOUT else "ACTION_ERROR"
        raise ToolError(what, code, clean(error.message, 2_000)) from error
    except (ValueError, RuntimeError, ExceptionGroup) as error:
        problem = f"it answered wrongly: {clean(str(error), 500)}"
        raise ToolError(what, "ACTION_ERROR", problem) from error


async def list_resources(client: Client, _: Supervised, wanted: Wanted) -> dict[str, Any]:
    """All resources, and the templates of more."""
    if client.server_capabilities.resources is None:
        return {"resources": [], "templates": []}
    found = await _all(client.list_resources, "resources")
    templates = await _all(client.list_resource_templates, "resource_templates")
    return {"resources": found, "templates": templates}


async def read_resource(client: Client, _: Supervised, wanted: Wanted) -> dict[str, Any]:
    """One resource."""
    return contents_of(await client.read_resource(wanted.uri))


async def follow(client: Client, server: Supervised, wanted: Wanted) -> dict[str, Any]:
    """Let the server tell when a resource changes, as long as this connection lasts."""
    import mcp_types

    if client.protocol_version.startswith(MODERN):
        server.news.follow(wanted.uri)
        return {}
    request = mcp_types.SubscribeRequest(params=mcp_types.SubscribeRequestParams(uri=wanted.uri))
    await client.session.send_request(request, mcp_types.EmptyResult)
    return {}


async def list_prompts(client: Client, _: Supervised, wanted: Wanted) -> dict[str, Any]:
    """All prompts."""
    if client.server_capabilities.prompts is None:
        return {"prompts": []}
    return {"prompts": await _all(client.list_prompts, "prompts")}


async def get_prompt(client: Client, _: Supervised, wanted: Wanted) -> dict[str, Any]:
    """One prompt, filled in."""
    given = {name: str(value) for name, value in wanted.arguments.items()}
    return prompt_of(await client.get_prompt(wanted.name, given))


async def _all(listing: Any, key: str) -> list[dict[str, Any]]:
    """Every page of *listing*, up to `MOST` entries."""
    found: list[dict[str, Any]] = []
    cursor = None
    for _ in range(PAGES):
        page = await listing(cursor=cursor)
        found += parts(getattr(page, key))
        cursor = page.next_cursor
        if cursor is None or len(found) >= MOST:
            break
    return found[:MOST]
