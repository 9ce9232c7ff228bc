"""Tokens, as `loom token` makes and revokes them while a bridge runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from loom_plugin_bridge.access import Grant
from loom_plugin_bridge.tokens import Tokens


def grant(folder: Path, name: str, **limits: Any) -> str:
    """A new token of that name."""
    return Tokens(folder, time.time).create(Grant(id="", name=name, **limits))


def revoke(folder: Path, name: str) -> None:
    Tokens(folder, time.time).revoke(name)
