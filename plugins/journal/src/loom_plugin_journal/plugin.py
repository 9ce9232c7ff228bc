"""Wiring: the journal at the bus, and what it offers to others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from loom import contracts
from loom_kernel import Host, LoomError, StartRefused, hookimpl

from loom_plugin_journal.settings import Settings

if TYPE_CHECKING:
    import click


@hookimpl
def loom_settings() -> type[Settings]:
    return Settings


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_journal import commands

    return [
        commands.events, commands.dlq, commands.journal, commands.record, commands.replay,
        commands.fork, commands.test_from,
    ]  # fmt: skip


@hookimpl
@asynccontextmanager
async def loom_attach(host: Host) -> AsyncIterator[None]:
    from loom_plugin_journal.effects import Ledger
    from loom_plugin_journal.housekeeping import Housekeeping
    from loom_plugin_journal.journal import Journal
    from loom_plugin_journal.keeping import Keeping
    from loom_plugin_journal.orders import Orders
    from loom_plugin_journal.recording import Recorder
    from loom_plugin_journal.slots import Slots

    settings: Settings = host.settings
    try:  # without a journal agents would forget, and do things twice, in silence
        store = host.driver("loom.store", settings.store)(host.paths.state)
        journal = Journal(host, store, Slots(host.paths.state / "handled"), settings)
    except (LoomError, OSError) as error:
        raise StartRefused(
            f"the journal lets nothing start: {error} (--without journal starts without it)"
        ) from error
    host.provide(contracts.Journal, Keeping(journal, store))
    ledger = Ledger(host, journal, store)
    host.provide(contracts.Effects, ledger)
    if settings.record:
        Recorder(host, journal, store)
    Orders(host, journal, ledger, store).start()
    host.spawn(Housekeeping(host, journal, ledger, store, days=settings.keep).run(), "keep house")
    host.health(journal.health)
    try:
        yield
    finally:
        await journal.aclose()
