"""The policy for what is no tool call: the same grants, rules, labels and people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from loom.contracts import ToolDescriptor, ToolError
from loom_kernel import current

from loom_plugin_tools.desk import Desk
from loom_plugin_tools.limits import Limits
from loom_plugin_tools.policy import Policy


class PermitOffice:
    """Judges requests as the broker judges calls; *record* is the audit's."""

    def __init__(
        self, policy: Policy, limits: Limits, desk: Desk, record: Callable[..., None]
    ) -> None:
        self._policy = policy
        self._limits = limits
        self._desk = desk
        self._record = record

    async def obtain(
        self,
        principal: str,
        subject: str,
        needs: tuple[str, ...],
        details: Mapping[str, Any],
        seconds: float = 0.0,
    ) -> None:
        """See `loom.contracts.Permits`."""
        tool = ToolDescriptor(subject, "", {}, provider="request", permissions=needs)
        try:
            await self._judge(tool, principal, details, seconds)
        except ToolError as error:
            self._record("permit.refused", principal, subject, code=error.code)
            raise
        self._record("permit.used", principal, subject)

    async def _judge(
        self, tool: ToolDescriptor, principal: str, details: Mapping[str, Any], seconds: float
    ) -> None:
        self._limits.count(tool.name, principal)
        cause = current.get()
        labels = cause.labels if cause is not None else frozenset[str]()
        verdict = self._policy.judge(tool, principal, labels)
        if verdict.answer == "deny":
            raise ToolError(tool.name, "PERMISSION_DENIED", "; ".join(verdict.why))
        if verdict.answer == "ask":
            capsule = self._desk.capsule(
                principal=principal, tool=tool.name, arguments=details,
                labels=tuple(sorted(labels)),
            )  # fmt: skip
            await self._desk.obtain(tool, capsule, verdict.why, seconds or self._desk.timeout)
