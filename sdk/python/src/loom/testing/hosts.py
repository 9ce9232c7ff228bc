"""What every host adapter must do, checked on a real runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom_kernel.testing import EventRecorder, running


async def check_host_adapter(
    name: str,
    *,
    senses: str,
    act_on: str,
    action: Any,
    options: Mapping[str, Any] | None = None,
    timeout: float = 10.0,
) -> None:
    """Check the installed driver *name* of `loom.hosts`.

    Within *timeout* seconds it must publish something on *senses* (a pattern below `host.`) and
    do *action* when it is published to *act_on* (a topic below `action.`); an action without
    sense must be refused, and the adapter must still work after that.

    Raises:
        AssertionError: with what it should have done.
    """
    config = {"plugins": {"hosts": {"adapter": name, "options": dict(options or {})}}}
    async with running("hosts", config=config) as runtime:
        host = runtime.host("contract")
        recorder = EventRecorder(host, "host.>", "action.>")
        refused = await host.request(act_on, {"no": "sense"} if action is None else None)
        for wanted in (action, action):
            answer = await host.request(act_on, wanted, timeout=timeout)
            assert answer.data["code"] == "ACTION_OK", answer.data
        assert refused.data["code"] in ("ACTION_OK", "INVALID_PARAMS"), refused.data
        assert len(recorder.on(f"{act_on}.completed")) >= 2
        (sensed, *_) = await recorder.wait_for(senses, timeout=timeout)
        assert sensed.sender == "hosts"
        assert runtime.health()["hosts"].healthy
