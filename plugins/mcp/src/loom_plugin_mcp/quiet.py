"""How much the libraries may log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

LEVELS = {
    "httpx2": logging.WARNING,
    "mcp.client": logging.CRITICAL,
    "mcp.server": logging.WARNING,
    "mcp.shared": logging.CRITICAL,
    "uvicorn": logging.WARNING,
}
"""The client's side writes down each message that a server gets wrong, in the server's own words
and with a traceback; what matters of it reaches us as an error."""


@contextmanager
def quiet() -> Iterator[None]:
    """Let them log no more than that."""
    known = {name: logging.getLogger(name).level for name in LEVELS}
    for name, level in LEVELS.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        for name, level in known.items():
            logging.getLogger(name).setLevel(level)
