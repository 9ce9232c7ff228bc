"""Wiring: a filter that counts, and the accounts for whoever spends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from loom_kernel import Host, hookimpl


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`[plugins.budgets]`."""

    default: dict[str, float]
    accounts: int


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom.contracts import Budgets

    from loom_plugin_budgets.treasury import Treasury

    settings: Settings = host.settings
    treasury = Treasury(host, settings.default, settings.accounts)
    host.provide(Budgets, treasury)
    host.add_filter(treasury.passed, order=-100)
    host.health(treasury.health)
    yield
