"""Wiring of the new plugin: commands only."""

from __future__ import annotations

from collections.abc import Iterable

import click
from loom_kernel import hookimpl


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_new.commands import create, init, new

    return [create, init, new]
