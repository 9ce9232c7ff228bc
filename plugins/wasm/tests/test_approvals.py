"""What a person is shown before a module runs."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest
from loom.contracts import Approval

from plugins.wasm.tests.site import PATIENCE, App, build_wat, manifest
from plugins.wasm.tests.snippets import answering

pytestmark = [pytest.mark.anyio, pytest.mark.feature("SEC-04", "PLG-02")]


async def asked(app: App) -> tuple[str, str]:
    """Id and text of the question that waits."""
    found: list[Approval] = []
    async with asyncio.timeout(PATIENCE):
        while not found:  # each look is a round of the bus
            found = (await app.owner.request("approval.list")).data["approvals"]
    return found[0].id, found[0].text


async def test_who_is_asked_sees_the_module_and_what_it_can_reach(app: App, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    module = build_wat(answering("1"), app.folder / "plain.wasm")
    digest = sha256(module.read_bytes()).hexdigest()
    app.add("plain", module, manifest("run"), "component", write=[str(folder)])
    async with app.running():
        await app.owner.request("rule.add", {"effect": "ask", "tool": "plain:*"})
        calling = app.caller.spawn(app.call("plain:run"), "call")
        id, text = await asked(app)
        assert f"of the WASM module plain (component, sha256 {digest[:16]})" in text
        assert f"write {folder}, and has no network" in text
        assert f"depends on: {module} ({digest[:16]})" in text
        await app.owner.request("approval.decide", {"id": id, "allow": True})
        assert (await calling).output == 1


async def test_another_module_than_was_approved_does_not_run(app: App) -> None:
    module = build_wat(answering("1"), app.folder / "plain.wasm")
    app.add("plain", module, manifest("run"), "component")
    async with app.running():
        await app.owner.request("rule.add", {"effect": "ask", "tool": "plain:*"})
        calling = app.caller.spawn(app.call("plain:run"), "call")
        id, _ = await asked(app)
        build_wat(answering("2"), module)
        await app.trust("plain")
        await app.owner.request("approval.decide", {"id": id, "allow": True})
        assert (await calling).code == "APPROVAL_DENIED"
