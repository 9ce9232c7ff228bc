"""The kernel's second door: what plugin authors and Loom itself test with.

Nothing here fakes the runtime: `running` starts a real one, `VirtualClock` only makes its event
loop's time jump over the waits, and the contract suites are what every implementation must pass.
"""

from __future__ import annotations

from loom_kernel.testing.contracts import check_host_contract, check_plugin_contract
from loom_kernel.testing.harness import running, wait_until
from loom_kernel.testing.recorder import EventRecorder
from loom_kernel.testing.virtual import VirtualClock, VirtualLoop, run_virtual

__all__ = [
    "EventRecorder",
    "VirtualClock",
    "VirtualLoop",
    "check_host_contract",
    "check_plugin_contract",
    "run_virtual",
    "running",
    "wait_until",
]
