"""Writes one large file after the other in a workspace, until it is killed: WORKSPACE STATE."""

from __future__ import annotations

import sys
from pathlib import Path

from loom_plugin_native.beneath import Workspace
from loom_plugin_native.history import Author, History

MOST = 2_000
"""Writes after which it ends by itself, if nobody kills it."""


def main(folder: str, state: str) -> None:
    workspace = Workspace.open(Path(folder))
    history = History(workspace, Path(state))
    text = "x" * (9 << 20)
    for number in range(MOST):
        with history.recording("deep/large.txt", Author(str(number), "me", "write", 0.0)):
            workspace.write("deep/large.txt", text)


main(*sys.argv[1:])
