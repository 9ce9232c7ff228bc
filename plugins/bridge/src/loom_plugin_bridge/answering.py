"""The status with which a call of a client without a session ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from loom.bridge import BridgeError, messages
from loom_kernel import (
    BackpressureTimeout,
    BusClosed,
    HopLimitExceeded,
    Host,
    LoomError,
    PayloadTooLarge,
)

from loom_plugin_bridge.carriers.grpc import set_status

_CODES: dict[type[Exception], messages.FailureCode] = {
    PayloadTooLarge: "RESOURCE_EXHAUSTED",
    BackpressureTimeout: "RESOURCE_EXHAUSTED",
    HopLimitExceeded: "FAILED_PRECONDITION",
    BusClosed: "UNAVAILABLE",
}


@contextmanager
def answered(host: Host, context: Any) -> Iterator[None]:
    """Let the call end with the status of what went wrong inside."""
    try:
        yield
    except BridgeError as error:
        set_status(context, error)
    except (LoomError, ValueError) as error:
        code = _CODES.get(type(error), "INVALID_ARGUMENT")
        set_status(context, BridgeError(code, str(error)))
    except Exception as error:  # a client is told that it failed, and not how
        host.log.exception("a call failed")
        host.tell_error("ACTION_ERROR", error)
        set_status(context, BridgeError("INTERNAL", "the call failed; the log has the reason"))
