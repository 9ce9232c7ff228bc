"""What the owner may ask: which modules there are, what is in one, whether to trust it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from loom.contracts import read
from loom.pins import fingerprint
from loom_kernel import Envelope, Host, LoomError

from loom_plugin_wasm.access import Access, refused_imports
from loom_plugin_wasm.keeper import Keeper
from loom_plugin_wasm.module import GuestModule

OWNER = "cli"
"""The sender that stands for the owner: the terminal, at the control socket."""


class Question(msgspec.Struct, frozen=True):
    """The data of a request."""

    name: str = ""
    digest: str = ""
    """What was examined, so that nothing else is trusted than what was looked at."""


class Requests:
    """Answers them."""

    def __init__(self, host: Host, keeper: Keeper) -> None:
        self._host = host
        self._keeper = keeper

    def listen(self) -> None:
        """Answer from now on."""
        for topic, answer in (
            ("wasm.module.list", self._list),
            ("wasm.module.examine", self._examine),
            ("wasm.module.trust", self._trust),
            ("wasm.module.forget", self._forget),
        ):
            self._host.on(topic, handler=self._answering(answer), name=topic)

    def _answering(
        self, answer: Callable[[Question], Awaitable[dict[str, Any]]]
    ) -> Callable[[Envelope], Awaitable[None]]:
        async def handle(envelope: Envelope) -> None:
            if envelope.sender != OWNER:
                data = _failed("PERMISSION_DENIED", "only the owner may ask that, with `loom wasm`")
            else:
                try:
                    data = {"code": "ACTION_OK", **await answer(read(envelope, Question))}
                except (LoomError, OSError) as error:
                    data = _failed("ACTION_ERROR", str(error))
            await self._host.reply(envelope, data)

        return handle

    def _module(self, name: str) -> GuestModule:
        if (module := self._keeper.modules.get(name)) is None:
            known = ", ".join(sorted(self._keeper.modules)) or "none"
            raise LoomError(f"loom.toml has no [wasm.{name}]; there are: {known}")
        return module

    async def _list(self, _: Question) -> dict[str, Any]:
        return {"modules": [_row(module) for module in self._keeper.modules.values()]}

    async def _examine(self, question: Question) -> dict[str, Any]:
        module = self._module(question.name)
        found = await asyncio.to_thread(module.examine)
        report = await module.report(found)
        granted, asked = Access.of(module.table), found.manifest.asks
        pinned = await asyncio.to_thread(self._keeper.pins.get, module.name) or {}
        return {
            "name": module.name,
            "sha256": found.record["sha256"],
            "digest": fingerprint(found.record),
            "tools": [tool.name for tool in found.manifest.tool],
            "exports": report.exports,
            "imports": report.imports,
            "asks": asked.words(),
            "new": sorted(set(asked.words()) - set(pinned.get("asks", ()))),
            "missing": asked.missing(granted),
            "refused": refused_imports(report.imports, granted),
            "is_trusted": pinned == found.record,
            "was_trusted": bool(pinned),
        }

    async def _trust(self, question: Question) -> dict[str, Any]:
        module = self._module(question.name)
        found = await asyncio.to_thread(module.examine)
        if fingerprint(found.record) != question.digest:
            raise LoomError(f"{module.name!r} has changed since it was examined; look again")
        await asyncio.to_thread(self._keeper.pins.put, module.name, found.record)
        return _row(await self._keeper.load(module.name))

    async def _forget(self, question: Question) -> dict[str, Any]:
        await asyncio.to_thread(self._keeper.pins.put, question.name, None)
        if question.name not in self._keeper.modules:
            return {"name": question.name, "state": "", "reason": "", "tools": []}
        return _row(await self._keeper.load(question.name))


def _row(module: GuestModule) -> dict[str, Any]:
    tools = [f"{module.name}:{tool.name}" for tool in module.manifest.tool]
    return {
        "name": module.name, "kind": module.table.kind, "state": module.state, "tools": tools,
        "reason": module.reason,
    }  # fmt: skip


def _failed(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message}
