"""Wiring: the command `loom bench`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from loom_kernel import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_bench.command import bench

    return [bench]
