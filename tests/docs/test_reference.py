"""The reference says what the code says."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest
from loom_kernel import Host
from loom_kernel.config import BusSettings, KernelSettings
from loom_kernel.envelope import FIELDS
from loom_kernel.hooks import HOOK_API, Hooks
from loom_kernel.manifest import Manifest

from tests.docs.pages import ROOT

REFERENCE = ROOT / "docs/reference"


def page(name: str) -> str:
    return (REFERENCE / name).read_text("utf-8")


def test_every_hook_has_a_heading_with_its_signature() -> None:
    hooks = {name: hook for name, hook in vars(Hooks).items() if name.startswith("loom_")}
    text = page("hooks.md")
    headings = re.findall(r"^## `(.+)`$", text, re.MULTILINE)
    shown = [
        f"{name}{str(inspect.signature(hook)).replace('self, ', '').replace('self', '')}".replace(
            "'", ""
        )
        for name, hook in hooks.items()
    ]
    assert headings == shown
    assert f"number {HOOK_API}" in text


def test_every_member_of_a_host_is_in_the_table() -> None:
    table = page("hooks.md").partition("# Host\n")[2]
    methods = [name for name in vars(Host) if not name.startswith("_")]
    own = {"aclose", "tasks", "check_health"}  # the runtime's side of a host
    attributes = ["publish", "publish_nowait", "request", "name", "settings", "tables", "clock"]
    missing = [name for name in {*methods, *attributes} - own if f"{name}" not in table]
    assert not missing


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_an_envelope_is_described(field: str) -> None:
    assert f"`{field}`" in page("envelope.md")


@pytest.mark.parametrize(
    ("table", "shape"), [("bus", BusSettings), ("kernel", KernelSettings)], ids=["bus", "kernel"]
)
def test_every_setting_of_the_kernel_is_described_with_its_default(
    table: str, shape: type[BusSettings | KernelSettings]
) -> None:
    text = page("configuration.md")
    for name in shape.__struct_fields__:
        assert f"`{name}`" in text or f"`[{table}] {name}`" in text
        assert f"{getattr(shape(), name)}" in text


@pytest.mark.parametrize("key", Manifest.__struct_fields__)
def test_every_key_of_a_manifest_is_described(key: str) -> None:
    text = page("manifest.md")
    assert f"`{key}`" in text or f"`[{key}]`" in text or f"`[{key}.<key>]`" in text


def test_the_page_about_plugins_is_what_the_manifests_say() -> None:
    subprocess.run(
        [sys.executable, ROOT / "scripts/reference.py", "--check"], check=True, timeout=60
    )


def test_every_decision_is_in_the_list() -> None:
    listed = (ROOT / "docs/decisions/index.md").read_text("utf-8")
    for decision in (ROOT / "docs/decisions").glob("0*.md"):
        assert f"({decision.name})" in listed
