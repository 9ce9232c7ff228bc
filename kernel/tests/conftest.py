from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from loom_kernel import Envelope, Host, Runtime, Subscription
from loom_kernel.testing import running

Take = Callable[[Subscription, int], Awaitable[list[Envelope]]]


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    """A running Loom without plugins."""
    async with running() as runtime:
        yield runtime


@pytest.fixture
def host(runtime: Runtime) -> Host:
    return runtime.host("alice")


@pytest.fixture
def other(runtime: Runtime) -> Host:
    return runtime.host("bob")


@pytest.fixture
def take() -> Take:
    """The next so many envelopes of a subscription."""

    async def take(subscription: Subscription, count: int) -> list[Envelope]:
        found = [await subscription.receive() for _ in range(count)]
        return [envelope for envelope in found if envelope is not None]

    return take


HEADER = """
import asyncio
from contextlib import asynccontextmanager
from loom_kernel import Health, hookimpl, hookspec
import click, msgspec
"""
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a plugin of this name, code and manifest for the length of a test."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name: str, code: str = "", manifest: str = "") -> Path:
        package = f"strange_{name.replace('-', '_')}"
        home = site / package
        home.mkdir(exist_ok=True)
        (home / "__init__.py").touch()
        (home / "plugin.py").write_text(HEADER + textwrap.dedent(code))
        described = f'hook_api = 1\nname = "{name}"\nsummary = "for a test"\n'
        (home / "loom-plugin.toml").write_text(described + textwrap.dedent(manifest))
        metadata = site / f"{package}-1.0.dist-info"
        metadata.mkdir(exist_ok=True)
        (metadata / "METADATA").write_text(f"Name: {package}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[loom.plugins]\n{name} = {package}.plugin\n")
        importlib.invalidate_caches()
        return home

    yield install
    for module in [known for known in sys.modules if known.startswith("strange_")]:
        del sys.modules[module]
