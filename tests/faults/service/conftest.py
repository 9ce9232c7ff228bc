"""What the tests of the background service start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.instance import Instance


@pytest.fixture
def bare(home: Path) -> Iterator[Instance]:
    """An app with nothing but the control plugin; what it starts is ended with the test."""
    with Instance(home / "app") as instance:
        yield instance
