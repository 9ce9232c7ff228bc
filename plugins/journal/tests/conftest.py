from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from loom_kernel.testing import running

from plugins.journal.tests.clerk import Start


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def life(tmp_path: Path) -> Start:
    """Starts a runtime with the journal; each one goes on where the one before ended."""
    return partial(running, "journal", state=tmp_path / "state")
