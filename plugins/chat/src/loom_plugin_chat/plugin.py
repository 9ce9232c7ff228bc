"""Wiring of the chat plugin: a command, and nothing in the runtime."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from loom_kernel import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def loom_add_commands() -> Iterable[click.Command]:
    from loom_plugin_chat.commands import chat

    return [chat]
