"""A model server that says what it is told to: for tests, and to try apps without a network.

async with FakeModels(["Hello.", Answer(status=429, retry_after="1")]) as models: …
"""

from __future__ import annotations

from loom.testing.models.answers import Answer, Asked, Call, echo
from loom.testing.models.contract import DRIVER_CHECKS, Check
from loom.testing.models.server import FakeModels

__all__ = ["DRIVER_CHECKS", "Answer", "Asked", "Call", "Check", "FakeModels", "echo"]
