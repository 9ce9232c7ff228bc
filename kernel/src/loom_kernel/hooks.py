"""Every hook there is, in the order in which a plugin's life meets them.

Hooks assemble: they are synchronous and called once, at start. Whatever happens later is an
envelope on the bus. A plugin implements the hooks it needs in its entry module, with `hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from loom_kernel.host import Host

PROJECT = "loom"
HOOK_API = 1
"""Rises when a hook changes so that old plugins would break; manifests name the one they use."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """The hooks of the kernel; plugins may add others through the first one."""

    @hookspec
    def loom_add_hookspecs(self) -> Iterable[type]:  # type: ignore[empty-body]  # a specification
        """Return classes whose `hookspec` methods other plugins may implement."""

    @hookspec
    def loom_settings(self) -> type:  # type: ignore[empty-body]  # a specification
        """Return the type of `host.settings`: a `msgspec.Struct` or a pydantic model.

        Its fields are the settings of the manifest. Called before anything is started, so that
        wrong settings stop Loom with exit code 2 and nothing bound.
        """

    @hookspec
    def loom_add_commands(self) -> Iterable[click.Command]:  # type: ignore[empty-body]  # a specification
        """Return the commands that the manifest lists; called when one of them is used."""

    @hookspec
    def loom_attach(self, host: Host) -> AbstractAsyncContextManager[None]:  # type: ignore[empty-body]  # a specification
        """Return what runs the plugin: entered at start, left at stop, in one task of its own.

        The plugin is ready when it has been entered. Leaving it should end its outside effects;
        the host's subscriptions and tasks are ended afterwards.
        """
