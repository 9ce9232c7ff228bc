"""The endpoints, for plugins: every question is paid for, told of and written down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from loom.contracts import (
    Audit,
    ModelError,
    ModelPart,
    ModelRecord,
    ModelReply,
    ModelRequest,
    Usage,
)
from loom.models import Endpoint, Endpoints, estimate, find_endpoint, read_endpoints
from loom_kernel import ConfigError, Envelope, Health, Host, ServiceMissing, current

from loom_plugin_models.allowance import Allowance
from loom_plugin_models.purse import Purse, accounts_of
from loom_plugin_models.telling import completed, failed


class Service:
    """See `loom.contracts.Models`."""

    def __init__(self, host: Host, default: str, daily: Mapping[str, float]) -> None:
        self._host = host
        self._default = default
        tables = host.tables.get("llm", {}) or find_endpoint()
        self._endpoints = Endpoints(read_endpoints(tables), host.clock, host.random)
        self._allowance = Allowance(host.paths.state / "spent.json", host.clock, daily)
        self._counts = {"answers": 0.0, "failures": 0.0, "tokens": 0.0, "cost": 0.0}
        known = [record.name for record in self.list()]
        if default and default not in known:
            raise ConfigError(
                f"'default' in [plugins.models] is {default!r}, and there is no [llm.{default}]"
            )

    def list(self) -> list[ModelRecord]:
        return self._endpoints.records()

    def chosen(self, name: str) -> ModelRecord:
        """What is asked under *name*.

        Raises:
            ModelError: there is no such endpoint.
        """
        return self._endpoints.named(name or self._default).record

    @asynccontextmanager
    async def stream(
        self,
        name: str,
        request: ModelRequest,
        cause: Envelope | None = None,
        who: str = "",
        *,
        fallback: bool = True,
    ) -> AsyncIterator[AsyncIterator[ModelPart]]:
        cause = cause or current.get()
        name = name or self._default
        asked, chain = self._endpoints.outlook(name, request, fallback=fallback)
        purse = Purse(*accounts_of(self._host, cause), self._allowance)
        allowed = purse.take(request, asked, chain)
        call = _Call(self._host, cause, chain, asked, who)
        try:
            asking = self._endpoints.stream(name, allowed, cause, fallback=fallback)
            async with asking as parts:
                yield _Watched(parts, call)
        except ModelError as error:
            self._counts["failures"] += 1
            call.fail(error)
            raise
        finally:
            purse.settle(call.usage)
            self._count(call.usage, call.is_answered)

    async def aclose(self) -> None:
        """End all connections."""
        await self._endpoints.aclose()

    def health(self) -> Health:
        """Which endpoints do not work now, and what was asked so far."""
        troubled = [record for record in self.list() if record.state != "ready"]
        text = ", ".join(f"{record.name} is {record.state}" for record in troubled)
        left = {f"{unit}_left_today": left for unit, left in self._allowance.left().items()}
        return Health(not troubled, text or "ok", {**self._counts, **left})

    def _count(self, usage: Usage, is_answered: bool) -> None:
        self._counts["answers"] += is_answered
        self._counts["tokens"] += usage.input_tokens + usage.output_tokens
        self._counts["cost"] += usage.cost


class _Call:
    """One question: what it took, and what is told of it."""

    def __init__(
        self, host: Host, cause: Envelope | None, chain: list[Endpoint], asked: int, who: str
    ) -> None:
        self.usage = Usage()
        self.is_answered = False
        self._host = host
        self._cause = cause
        self._who = who or (cause.sender if cause is not None else "")
        self._chain = {endpoint.name: endpoint for endpoint in chain}
        self._first = chain[0]
        self._asked = asked
        self._began = host.clock.monotonic()
        self._waited = 0.0
        self._said = 0
        self._audit = audit_of(host)

    def see(self, part: ModelPart) -> None:
        """Note *part*: also of an answer that breaks off something was taken."""
        self._waited = self._waited or self._host.clock.monotonic() - self._began
        if isinstance(part, ModelReply):
            self.usage, self.is_answered = part.usage, True
            endpoint = self._chain.get(part.endpoint, self._first)
            self._tell("llm.call.completed", completed(endpoint, part, self._times()))
            return
        self._said += estimate(part.text)
        broken = Usage(self._asked, self._said, is_estimated=True)
        cost = self._first.cost(broken)
        self.usage = Usage(self._asked, self._said, cost=cost, is_estimated=True)

    def fail(self, error: ModelError) -> None:
        """There is no answer, because of *error*."""
        endpoint = self._chain.get(error.endpoint, self._first)
        self._tell("llm.call.failed", failed(endpoint, error, self.usage, self._times()))

    def _times(self) -> dict[str, float]:
        return {
            "loom.duration": self._host.clock.monotonic() - self._began,
            "loom.time_to_first_part": self._waited,
        }

    def _tell(self, topic: str, told: dict[str, Any]) -> None:
        told["gen_ai.agent.id"] = self._who
        self._audit(topic, self._who, told["loom.endpoint"], **told)
        token = current.set(self._cause)
        try:
            self._host.publish_nowait(topic, told)
        finally:
            current.reset(token)


class _Watched:
    """Parts that a `_Call` sees."""

    def __init__(self, parts: AsyncIterator[ModelPart], call: _Call) -> None:
        self._parts = parts
        self._call = call

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ModelPart:
        part = await anext(self._parts)
        self._call.see(part)
        return part


def audit_of(host: Host) -> Callable[..., None]:
    """The audit's `record`, or nothing where the plugin `audit` does not run."""
    try:
        return host.require(Audit).record
    except ServiceMissing:
        return _unrecorded


def _unrecorded(event: str, who: str, what: str, **details: Any) -> None:
    """Nobody keeps an audit: the owner's profile leaves it out."""
