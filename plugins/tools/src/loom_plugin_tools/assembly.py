"""Putting the broker together from what the owner set."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from loom.contracts import Audit, Budgets
from loom_kernel import Host, ServiceMissing

from loom_plugin_tools.announcements import Announcements
from loom_plugin_tools.broker import Broker
from loom_plugin_tools.desk import Desk
from loom_plugin_tools.limits import Limits
from loom_plugin_tools.memory import Memory
from loom_plugin_tools.orders import Orders
from loom_plugin_tools.permits import PermitOffice
from loom_plugin_tools.policy import Policy
from loom_plugin_tools.registry import Registry
from loom_plugin_tools.results import Results
from loom_plugin_tools.rules import Rules
from loom_plugin_tools.settings import Settings

T = TypeVar("T")


def assemble(host: Host) -> tuple[Broker, PermitOffice, Orders]:
    """The broker of *host*, its policy for others, and what obeys its owner."""
    settings: Settings = host.settings
    record = _record_of(host)
    policy = Policy(
        Rules(host.paths.state / "rules.json", host.clock.time),
        grants=settings.checked_grants(),
        default=settings.default_grants,
        despite_untrusted=settings.despite_untrusted,
    )
    registry = Registry()
    limits = Limits(host.clock.monotonic, rate=settings.rate)
    broker = Broker(
        host, registry, policy, limits, record,
        timeout=settings.timeout,
        results=Results(settings.remembered, settings.remembered_bytes),
    )  # fmt: skip
    broker.desk = Desk(
        host, record, timeout=settings.approval_timeout, prompts=settings.prompts,
        resume=broker.resume,
    )  # fmt: skip
    broker.memory = Memory(host)
    broker.budgets = _service(host, Budgets)
    broker.announcements = Announcements(host, registry, broker.validators)
    permits = PermitOffice(policy, limits, broker.desk, record)
    return broker, permits, Orders(host, broker, policy, record, owners=settings.approvers)


def _service(host: Host, contract: type[T]) -> T | None:
    """What a plugin provides for *contract*, if one does."""
    try:
        return host.require(contract)
    except ServiceMissing:
        return None


def _record_of(host: Host) -> Callable[..., None]:
    """The audit's `record`, or nothing where the plugin `audit` does not run."""
    try:
        return host.require(Audit).record
    except ServiceMissing:
        return partial(_unrecorded)


def _unrecorded(event: str, who: str, what: str, **details: object) -> None:
    """Nobody keeps an audit: the owner's profile leaves it out."""
