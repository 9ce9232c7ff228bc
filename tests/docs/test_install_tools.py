"""The page about archives does what it says, from a template to a tool that is called."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from loom.archives import read_manifest
from loom.archives.manifests import RESERVED, ProcessTable, WasmTable
from loom_plugin_process.program import RESERVED as RESERVED_BY_PROCESS
from loom_plugin_process.program import Program
from loom_plugin_wasm.settings import Table

from tests.docs.pages import ROOT, blocks
from tests.e2e.instance import Instance

PAGE = ROOT / "docs/how-to/install-tools.md"
(MANIFEST,) = (block.text for block in blocks(PAGE, "toml"))


@pytest.fixture
def loom(home: Path) -> Iterator[Instance]:
    with Instance(home / "app", "tools", "sandbox", "wasm") as instance:
        yield instance


def said(loom: Instance, *words: str, code: int = 0) -> str:
    done = loom.loom(*words)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def state_of(loom: Instance) -> str:
    (module,) = json.loads(said(loom, "wasm", "list", "--json"))
    return str(module["state"])


def test_the_manifest_on_the_page_is_one() -> None:
    manifest = read_manifest(MANIFEST.encode())
    assert manifest.table("tools/letters")["module"] == "tools/letters/tool.wasm"


@pytest.mark.feature("X-11", "CLI-03", "PLG-02", "TOOL-01")
@pytest.mark.reliability("S20")
def test_a_tool_is_packed_installed_trusted_called_and_tampered_with(
    loom: Instance, home: Path
) -> None:
    said(loom, "new", "wasm-tool", "letters", "--in", str(home))
    subprocess.run(["make", "-s", "-C", home / "letters"], check=True, timeout=60)
    made = said(loom, "tools", "pack", str(home / "letters"), "--to", str(home))
    digest = made.split()[-1]
    archive = str(home / "letters-0.1.0.zip")
    told = said(loom, "tools", "install", archive, "--yes", "--sha256", digest)
    assert told.endswith("next:\n  loom up\n  loom wasm trust letters\n")
    loom.up()
    assert "letters is ready" in said(loom, "wasm", "trust", "letters", "--yes")
    assert said(loom, "call", "letters:count", '{"text": "hello"}').strip() == "5"
    said(loom, "down")
    module = loom.folder / "tools" / "letters" / "tool.wasm"
    content = bytearray(module.read_bytes())
    content[-1] ^= 1
    module.write_bytes(content)
    assert "tool.wasm has changed" in said(loom, "tools", "verify", code=1)
    loom.up()
    assert state_of(loom) == "untrusted"
    refused = said(loom, "call", "letters:count", '{"text": "hello"}', code=2)
    assert "CAPABILITY_ERROR" in refused
    assert "loom down" in said(loom, "tools", "install", archive, "--yes")
    said(loom, "down")
    loom.up()
    assert said(loom, "call", "letters:count", '{"text": "hello"}').strip() == "5"
    said(loom, "tools", "remove", "letters", "--yes")
    assert not (loom.folder / "tools.lock").exists()
    assert not (loom.folder / "tools").exists()


def test_archives_may_ask_for_whatever_a_table_may_hold() -> None:
    """But for what is the owner's alone: where it lies, and whether it is switched on."""
    for asked, table in ((WasmTable, Table), (ProcessTable, Program)):
        known = {field.name: field.type for field in msgspec.structs.fields(asked)}
        whole = {field.name: field.type for field in msgspec.structs.fields(table)}
        assert known == {k: v for k, v in whole.items() if k not in ("enabled", "cwd")}
    assert RESERVED == RESERVED_BY_PROCESS
