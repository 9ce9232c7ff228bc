"""Trust: what was looked at runs, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from loom_kernel.testing import running
from loom_plugin_wasm.commands import wasm

from plugins.wasm.tests.site import App, build_c, build_wat, manifest
from plugins.wasm.tests.snippets import answering, core, packed

pytestmark = [pytest.mark.anyio]
LOGS = core(
    f"(call $log (i32.const 8192) (i32.const 2)) {packed('ok')}",
    before='(import "loom" "log" (func $log (param i32 i32)))',
)


def plain(app: App, text: str = "1", asks: str = "", **more: Any) -> Path:
    module = build_wat(answering(text), app.folder / "plain.wasm")
    app.add("plain", module, manifest("run", asks=asks), "component", **more)
    return module


@pytest.mark.feature("X-11")
async def test_nothing_runs_before_it_is_trusted_nor_after_a_byte_changed(app: App) -> None:
    module = plain(app)
    async with app.running(trust=False):
        state, reason = await app.state("plain")
        assert state == "untrusted"
        assert "loom wasm trust plain" in reason
        assert (await app.call("plain:run")).code == "CAPABILITY_ERROR"
        await app.trust("plain")
        assert (await app.call("plain:run")).output == 1
    build_wat(answering("2"), module)
    async with app.running(trust=False):
        state, reason = await app.state("plain")
        assert (state, "has changed" in reason) == ("untrusted", True)
        assert (await app.call("plain:run")).code in ("CAPABILITY_ERROR", "PROVIDER_UNAVAILABLE")
        await app.trust("plain")
        assert (await app.call("plain:run")).output == 2


@pytest.mark.feature("X-11")
async def test_what_is_newly_asked_for_is_shown_before_it_is_trusted(app: App) -> None:
    plain(app, functions=["log", "now"])
    async with app.running():
        pass
    plain(app, asks='functions = ["log", "now"]', functions=["log", "now"])
    async with app.running(trust=False):
        assert (await app.state("plain"))[0] == "untrusted"
        asked = {"name": "plain"}
        seen = (await app.owner.request("wasm.module.examine", asked, timeout=30)).data
        assert seen["new"] == ["log", "now"]
        assert (seen["was_trusted"], seen["is_trusted"]) == (True, False)
        assert set(seen["exports"]) == {"memory", "loom_alloc", "run"}
    pinned = json.loads((app.folder / "tools.lock").read_text("utf-8"))
    assert set(pinned["wasm"]) == {"plain"}


@pytest.mark.feature("X-11")
async def test_only_what_was_looked_at_is_accepted_and_only_by_the_owner(app: App) -> None:
    module = plain(app)
    async with app.running(trust=False):
        asked = {"name": "plain"}
        seen = (await app.owner.request("wasm.module.examine", asked, timeout=30)).data
        build_wat(answering("2"), module)
        accepted = {"name": "plain", "digest": seen["digest"]}
        late = (await app.owner.request("wasm.module.trust", accepted)).data
        assert "has changed" in late["message"]
        other = (await app.caller.request("wasm.module.trust", accepted)).data
        assert other["code"] == "PERMISSION_DENIED"
        assert (await app.state("plain"))[0] == "untrusted"


@pytest.mark.feature("SEC-05")
async def test_what_was_not_granted_is_refused_by_name(app: App) -> None:
    plain(app, asks='functions = ["random"]\nhosts = ["example.com"]')
    module = build_wat(LOGS, app.folder / "logs.wasm")
    app.add("logs", module, manifest("run"), "component")
    app.add("granted", module, manifest("run"), "component", functions=["log"])
    web = '(module (import "extism:host/env" "http_request" (func (param i64 i64) (result i64))))'
    app.add("web", build_wat(web, app.folder / "web.wasm"), manifest("run"))
    wasi = build_c("words.c", app.folder / "words.wasm")
    app.add("words", wasi, manifest("echo"))
    async with app.running(plugins=("audit",)):
        asks = "it asks for what [wasm.plain] does not grant: net example.com, random"
        assert await app.state("plain") == ("refused", asks)
        imports = "it imports what was not granted: loom::log"
        assert await app.state("logs") == ("refused", imports)
        assert (await app.state("granted"))[0] == "ready"
        assert (await app.state("words"))[0] == "ready"
        assert (await app.call("logs:run")).code == "CAPABILITY_ERROR"
        journal = [file.read_text("utf-8") for file in app.folder.glob("state/**/audit/**/*.jsonl")]
        kept = [json.loads(line) for text in journal for line in text.splitlines()]
        refused = {entry["what"] for entry in kept if entry["event"] == "wasm.module.refused"}
        assert refused == {"plain", "logs", "web"}
        http = "it imports what was not granted: extism:host/env::http_request"
        assert await app.state("web") == ("refused", http)


@pytest.mark.feature("SEC-05")
async def test_what_a_module_may_reach_is_what_its_tools_need(app: App) -> None:
    plain(app, read=["data"], write=["out"])
    (app.folder / "data").mkdir()
    (app.folder / "out").mkdir()
    async with app.running():
        listed = (await app.caller.request("tool.list", {"provider": "wasm"})).data["tools"]
        assert listed[0].permissions == ("fs.read", "fs.write")


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"memroy": 1}, ["wasm.plain", "memroy"]),
        ({"memory": 0}, ["wasm.plain", "memory"]),
        ({"functions": ["exec"]}, ["wasm.plain", "exec", "random"]),
        ({"kind": "python"}, ["wasm.plain", "kind"]),
        ({"hosts": ["example.com"]}, ["wasm.plain", "hosts"]),
        ({"subscribe": ["a..b"]}, ["wasm.plain", "a..b"]),
    ],
)
async def test_a_wrong_table_names_the_module_and_the_key(
    app: App, table: dict[str, object], words: list[str]
) -> None:
    plain(app)
    config = {"wasm": {"plain": {**app.tables["plain"], **table}}}
    async with running("sandbox", "wasm", config=config, strict=False) as runtime:
        reason = runtime.quarantined["wasm"].reason
    assert all(word in reason for word in words), reason


async def test_an_unreadable_module_or_manifest_fails_alone(app: App) -> None:
    plain(app)
    app.tables["gone"] = {"module": "gone.wasm", "kind": "extism"}
    broken = app.folder / "broken.wasm"
    broken.write_bytes(b"\0asm\1\0\0\0\xff")
    app.add("broken", broken, manifest("run"))
    app.add("odd", build_wat("(module)", app.folder / "odd.wasm"), "tool = 3")
    async with app.running():
        assert (await app.state("plain"))[0] == "ready"
        for name, words in (("gone", "No such file"), ("odd", "odd.toml")):
            state, reason = await app.state(name)
            assert (state, words in reason) == ("failed", True), reason
        state, reason = await app.state("broken")
        assert state == "untrusted"  # what cannot be compiled cannot be looked at


async def test_the_commands_list_trust_and_forget(app: App) -> None:
    import asyncio

    plain(app)

    def loom(*words: str, given: str | None = None) -> tuple[int, str]:
        state = ["--state", str(app.folder / "state")]
        done = CliRunner().invoke(wasm, [*words, *state], input=given)
        return done.exit_code, done.output

    async with app.running(trust=False, plugins=("control",)):
        code, said = await asyncio.to_thread(loom, "list")
        assert (code, "untrusted" in said) == (0, True), said
        code, said = await asyncio.to_thread(loom, "trust", "plain", given="n\n")
        assert code == 1
        assert "never trusted" in said
        assert (await app.state("plain"))[0] == "untrusted"
        code, said = await asyncio.to_thread(loom, "trust", "plain", "--yes", "--json")
        assert (code, json.loads(said)["state"]) == (0, "ready")
        assert (await app.call("plain:run")).output == 1
        code, said = await asyncio.to_thread(loom, "trust", "nobody", "--yes")
        assert (code, "no [wasm.nobody]" in said) == (1, True)
        code, said = await asyncio.to_thread(loom, "forget", "plain")
        assert (code, "untrusted" in said) == (0, True), said
        assert not (await app.call("plain:run")).is_ok
    assert loom("list")[0] == 4
