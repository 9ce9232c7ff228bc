from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from loom_kernel.testing import running

from sdk.python.tests.cognition.scripted import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with running("tools") as runtime:
        yield Stage(runtime)
