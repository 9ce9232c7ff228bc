"""Wiring of the doctor plugin: one command."""

from __future__ import annotations

from collections.abc import Iterable

import click
from loom_kernel import hookimpl


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_doctor.command import doctor

    return [doctor]
