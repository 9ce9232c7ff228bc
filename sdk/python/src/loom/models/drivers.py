"""Drivers of `loom.models`: found by name, loaded when they are first needed."""

from __future__ import annotations

from typing import Any, cast

from loom_kernel import LoomError

from loom.contracts import ModelDriver
from loom.models.endpoint import Endpoint

GROUP = "loom.models"


def make_driver(endpoint: Endpoint) -> ModelDriver:
    """The driver that speaks to *endpoint*.

    Raises:
        LoomError: there is none of that name, or it cannot be imported; the message lists all.
    """
    from stevedore import DriverManager, ExtensionManager
    from stevedore.exception import NoMatches

    try:
        found: Any = DriverManager(GROUP, endpoint.driver, invoke_on_load=False).driver
    except (NoMatches, ImportError, RuntimeError) as error:
        known = ", ".join(sorted(ExtensionManager(GROUP).names())) or "none"
        raise LoomError(
            f"[llm.{endpoint.name}] has type {endpoint.type!r}, which no driver of {GROUP!r} "
            f"speaks ({error}); installed: {known}"
        ) from error
    return cast(ModelDriver, found(endpoint))
