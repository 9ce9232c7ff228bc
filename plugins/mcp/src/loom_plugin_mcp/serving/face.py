"""The MCP server itself: the protocol on one side, a `House` on the other."""

from __future__ import annotations

import json
from typing import Any

import mcp_types
from loom_kernel import LoomError
from mcp import MCPError
from mcp.server.lowlevel import Server

from loom_plugin_mcp.serving.exposure import House


def make_server(house: House) -> Server[Any]:
    """A server that speaks both eras of the protocol and serves *house*."""
    from importlib.metadata import version

    face = _Face(house)
    return Server(
        "loom", version=version("loom-plugin-mcp"), on_list_tools=face.list_tools,
        on_call_tool=face.call_tool, on_list_resources=face.list_resources,
        on_read_resource=face.read_resource,
    )  # fmt: skip


class _Face:
    """Answers what clients ask."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def list_tools(self, _: Any, asked: Any) -> mcp_types.ListToolsResult:
        tools = [
            mcp_types.Tool(
                name=one["name"], title=one["title"], description=one["description"],
                input_schema=one["schema"], annotations=_hints(one["hints"]),
            )
            for one in await _told(self._house.tools())
        ]  # fmt: skip
        return mcp_types.ListToolsResult(tools=tools)

    async def call_tool(
        self, context: Any, asked: mcp_types.CallToolRequestParams
    ) -> mcp_types.CallToolResult:
        reason = f"an MCP client{_name_of(context)} asks for it"
        answer = await _told(self._house.call(asked.name, asked.arguments or {}, reason))
        if answer["code"] != "ACTION_OK":
            return _result(f"{answer['code']}: {answer['message']}", is_error=True)
        output = answer["output"]
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        return _result(text, structured=output if isinstance(output, dict) else None)

    async def list_resources(self, _: Any, asked: Any) -> mcp_types.ListResourcesResult:
        resources = [
            mcp_types.Resource(
                name=uri.rpartition("/")[2], uri=uri, mime_type="application/json",
                description="The last events on this topic",
            )
            for uri in await _told(self._house.resources())
        ]  # fmt: skip
        return mcp_types.ListResourcesResult(resources=resources)

    async def read_resource(
        self, _: Any, asked: mcp_types.ReadResourceRequestParams
    ) -> mcp_types.ReadResourceResult:
        text = await _told(self._house.read(str(asked.uri)))
        if text is None:
            raise MCPError(mcp_types.INVALID_PARAMS, f"there is no resource {asked.uri!r} here")
        contents = mcp_types.TextResourceContents(
            uri=asked.uri, mime_type="application/json", text=text
        )
        return mcp_types.ReadResourceResult(contents=[contents])


async def _told(asking: Any) -> Any:
    """What *asking* brings; a failure of the runtime is told as such."""
    try:
        return await asking
    except LoomError as error:
        raise MCPError(mcp_types.INTERNAL_ERROR, str(error)) from error


def _result(
    text: str, *, structured: Any = None, is_error: bool = False
) -> mcp_types.CallToolResult:
    content = mcp_types.TextContent(type="text", text=text)
    more = {} if structured is None else {"structured_content": structured}
    return mcp_types.CallToolResult(content=[content], is_error=is_error, **more)


def _hints(hints: dict[str, bool]) -> mcp_types.ToolAnnotations:
    return mcp_types.ToolAnnotations(
        read_only_hint=hints["read_only"], destructive_hint=hints["destructive"],
        idempotent_hint=hints["idempotent"],
    )  # fmt: skip


def _name_of(context: Any) -> str:
    """What the client calls itself; nobody has checked it."""
    said = getattr(context.session, "client_params", None)
    name = said.client_info.name if said is not None and said.client_info else ""
    return f" that calls itself {name[:64]!r}" if name else ""
