"""Contract suites for what plugs into the SDK's contracts.

`loom_kernel.testing` starts the runtimes that they check on.
"""

from __future__ import annotations

from loom.testing.hosts import check_host_adapter
from loom.testing.vectors import (
    KeptVectors,
    check_against_model,
    check_kills,
    check_many,
    check_vector_index,
    random_vectors,
)

__all__ = [
    "KeptVectors",
    "check_against_model",
    "check_host_adapter",
    "check_kills",
    "check_many",
    "check_vector_index",
    "random_vectors",
]
