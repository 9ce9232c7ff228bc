from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from loom_kernel import Runtime
from loom_kernel.testing import running


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    """A runtime with the plugins that agents need."""
    async with running("agents", "tools") as runtime:
        yield runtime
