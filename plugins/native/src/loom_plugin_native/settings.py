"""What `[plugins.native]` in loom.toml may hold."""

from __future__ import annotations

from pathlib import Path

import msgspec
from loom_kernel import Paths


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[plugins.native]`."""

    workspace: str = "workspace"
    """The folder that the file tools work in."""


def make_workspace(workspace: str, paths: Paths) -> Path:
    """Return the folder that *workspace* means, made if need be. Blocks.

    It is relative to the project folder, or to the plugin's state folder where there is none.
    """
    folder = (paths.project or paths.state) / Path(workspace).expanduser()
    # A new one is its owner's alone; the folders above it are as the person's umask wants them.
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
