"""What can be asked on the bus.

mcp.server.list       {} → {"servers": […], "http": where MCP clients are served, if they are}
mcp.resource.list     {"server"} → {"resources": […], "templates": […]}
mcp.resource.read     {"server", "uri"} → {"contents": […]}
mcp.resource.follow   {"server", "uri"} → {}; changes are then told on mcp.<server>.resource.updated
mcp.prompt.list       {"server"} → {"prompts": […]}
mcp.prompt.get        {"server", "name", "arguments"?} → {"description", "messages": […]}

The broker's policy judges these as calls of tools of the name `<topic>:<server>` that need the
permission `mcp.resource` or `mcp.prompt`, and `net` where the server reaches others.

Only the owner, at the control socket:

mcp.server.launch     {"server"} → what would run, and what it could reach; nothing is started
mcp.server.inspect    {"server"} → what it brings, and what of that is new; it is started for this
mcp.server.trust      {"server", "digest"} → {}; what was inspected is accepted, and started
mcp.server.forget     {"server"} → {}
mcp.server.restart    {"server"} → {}
mcp.serve.tools · .call · .resources · .read    what `loom mcp serve` asks for its client

Each answer has a `code`; if that is not ACTION_OK, a `message` says why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from loom.contracts import Permits, ToolError, canonical
from loom_kernel import Envelope, Host, LoomError, ServiceMissing

from loom_plugin_mcp.catalogue import (
    Reach,
    Wanted,
    asked,
    follow,
    get_prompt,
    list_prompts,
    list_resources,
    read_resource,
)
from loom_plugin_mcp.contents import bounded
from loom_plugin_mcp.keeper import Keeper
from loom_plugin_mcp.serving.exposure import Exposure
from loom_plugin_mcp.serving.http import HttpServer
from loom_plugin_mcp.settings import Settings
from loom_plugin_mcp.trust import Inspection, differences

OWNER = "cli"
"""The sender of what the owner asks at the control socket."""
Answer = dict[str, Any]


class Requests:
    """Answers them."""

    def __init__(self, host: Host, keeper: Keeper, exposure: Exposure, http: HttpServer) -> None:
        self._host = host
        self._keeper = keeper
        self._exposure = exposure
        self._http = http
        self._settings: Settings = host.settings
        self._inspected: dict[str, Inspection] = {}

    def listen(self) -> None:
        """Answer from now on."""
        self._on("mcp.server.list", self._list)
        for topic, act in (
            ("mcp.server.launch", self._launch),
            ("mcp.server.inspect", self._inspect),
            ("mcp.server.trust", self._trust),
            ("mcp.server.forget", self._forget),
            ("mcp.server.restart", self._restart),
            ("mcp.serve.tools", self._served_tools),
            ("mcp.serve.call", self._served_call),
            ("mcp.serve.resources", self._served_resources),
            ("mcp.serve.read", self._served_events),
        ):
            self._on(topic, act, is_owners=True)
        for topic, reach, permission in (
            ("mcp.resource.list", list_resources, "mcp.resource"),
            ("mcp.resource.read", read_resource, "mcp.resource"),
            ("mcp.resource.follow", follow, "mcp.resource"),
            ("mcp.prompt.list", list_prompts, "mcp.prompt"),
            ("mcp.prompt.get", get_prompt, "mcp.prompt"),
        ):
            self._on(topic, partial(self._reach, reach), permission=permission)

    def _on(
        self,
        topic: str,
        act: Callable[[Wanted], Awaitable[Answer]],
        *,
        is_owners: bool = False,
        permission: str = "",
    ) -> None:
        async def accept(envelope: Envelope) -> None:
            self._host.spawn(self._answer(envelope, act, is_owners, permission), topic)

        self._host.on(topic, handler=accept, name=f"mcp:{topic}")

    async def _answer(
        self,
        envelope: Envelope,
        act: Callable[[Wanted], Awaitable[Answer]],
        is_owners: bool,
        permission: str,
    ) -> None:
        """One answer; what servers say in it is a stranger's."""
        try:
            if is_owners and envelope.sender != OWNER:
                raise ToolError(
                    envelope.topic, "PERMISSION_DENIED", "only the owner may: `loom mcp`"
                )
            wanted = _frozen(envelope)
            if permission:
                await self._permit(envelope, wanted, permission)
            answer = {"code": "ACTION_OK", **await act(wanted)}
        except ToolError as error:
            answer = {"code": error.code, "message": error.message}
        except (msgspec.ValidationError, LoomError) as error:
            wrong = isinstance(error, msgspec.ValidationError)
            code = "INVALID_PARAMS" if wrong else "ACTION_ERROR"
            answer = {"code": code, "message": str(error)}
        if envelope.reply_to:
            await self._host.reply(envelope, answer, labels=("untrusted",))

    async def _permit(self, envelope: Envelope, wanted: Wanted, permission: str) -> None:
        """Let the broker's policy decide.

        Raises:
            ToolError: it, or a person, says no.
        """
        server = self._keeper.find(wanted.server).server
        needs = (permission, *(("net",) if "net" in server.needs else ()))
        subject = f"{envelope.topic}:{server.name}"
        try:
            permits = self._host.require(Permits)
        except ServiceMissing:
            missing = "nobody can allow it; start Loom with the plugin tools"
            raise ToolError(subject, "PERMISSION_DENIED", missing) from None
        details = {"uri": wanted.uri, "name": wanted.name, "arguments": wanted.arguments}
        left = max(envelope.expires - self._host.clock.time(), 0.001) if envelope.expires else 0.0
        shown = {key: value for key, value in details.items() if value}
        await permits.obtain(envelope.sender, subject, needs, shown, left)

    # -- servers -----------------------------------------------------------------------------

    async def _list(self, _: Wanted) -> Answer:
        return {"servers": self._keeper.describe(), "http": self._http.address}

    async def _inspect(self, wanted: Wanted) -> Answer:
        found = await self._keeper.find(wanted.server).inspect()
        self._inspected[wanted.server] = found
        record = self._keeper.trust.find(wanted.server)
        tools = [
            {"name": one.name, "description": one.description, "problem": one.problem,
             "parameters": one.parameters}
            for one in found.definitions
        ]  # fmt: skip
        return {
            "server": wanted.server, "digest": found.digest, "launch": found.launch.lines(),
            "tools": tools, "known": bool(record), "differences": differences(record, found),
        }  # fmt: skip

    async def _launch(self, wanted: Wanted) -> Answer:
        server = self._keeper.find(wanted.server)
        launch = await server.find_launch()
        record = self._keeper.trust.find(wanted.server)
        changes = launch.differences(record["launch"]) if record else []
        return {"launch": launch.lines(), "known": bool(record), "differences": changes}

    async def _trust(self, wanted: Wanted) -> Answer:
        server = self._keeper.find(wanted.server)
        found = self._inspected.pop(wanted.server, None)
        if found is None or found.digest != wanted.digest:
            raise LoomError(f"{wanted.server!r} was not looked at as it is now; do it again")
        self._keeper.trust.accept(wanted.server, found)
        server.restart()
        return {}

    async def _forget(self, wanted: Wanted) -> Answer:
        server = self._keeper.find(wanted.server)
        if not self._keeper.trust.forget(wanted.server):
            raise LoomError(f"nothing was accepted of {wanted.server!r}")
        server.restart()
        return {}

    async def _restart(self, wanted: Wanted) -> Answer:
        self._keeper.find(wanted.server).restart()
        return {}

    async def _reach(self, reach: Reach, wanted: Wanted) -> Answer:
        """Ask the server itself."""
        server = self._keeper.find(wanted.server)
        answer = await asked(server, reach, wanted)
        return bounded(f"mcp/{wanted.server}", answer, self._settings.max_result)

    # -- serving -----------------------------------------------------------------------------

    async def _served_tools(self, _: Wanted) -> Answer:
        return {"tools": await self._exposure.tools()}

    async def _served_call(self, wanted: Wanted) -> Answer:
        called = self._exposure.call(wanted.client, wanted.name, wanted.arguments, wanted.reason)
        return {"result": await called}

    async def _served_resources(self, _: Wanted) -> Answer:
        return {"resources": self._exposure.resources()}

    async def _served_events(self, wanted: Wanted) -> Answer:
        return {"events": self._exposure.read(wanted.uri)}


def _frozen(envelope: Envelope) -> Wanted:
    """What *envelope* asks for, whatever its sender does to its own objects meanwhile.

    Raises:
        msgspec.ValidationError: it asks for nothing that there is.
    """
    wanted = msgspec.convert(envelope.data or {}, Wanted)
    try:
        arguments = msgspec.json.decode(canonical(wanted.arguments))
    except (TypeError, ValueError, RecursionError) as error:
        raise msgspec.ValidationError(f"the arguments have no JSON form: {error}") from error
    return msgspec.structs.replace(wanted, arguments=arguments)
