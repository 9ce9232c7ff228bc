"""Wiring: what Loom calls. Loom imports this module when the plugin is used, never before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from loom_kernel import Host, hookimpl

from {{ cookiecutter.module }}.greeter import Greeter


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.{{ cookiecutter.name }}]`, as loom-plugin.toml describes it."""

    greeting: str


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    settings: Settings = host.settings
    greeter = Greeter(host, settings.greeting)
    host.on("{{ cookiecutter.name }}.asked", handler=greeter.greet)
    yield  # the plugin runs; what it started with `host` ends with it
