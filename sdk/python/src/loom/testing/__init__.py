"""Contract suites for what plugs into the SDK's contracts.

`loom_kernel.testing` starts the runtimes that they check on.
"""

from __future__ import annotations

from loom.testing.hosts import check_host_adapter

__all__ = ["check_host_adapter"]
