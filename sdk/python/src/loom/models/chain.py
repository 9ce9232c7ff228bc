"""Endpoints in the order in which they are asked: the one that was named, then its fallbacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import msgspec
from loom_kernel import Clock, ConfigError, Envelope, current

from loom.contracts import ModelError, ModelPart, ModelRecord, ModelRequest
from loom.models.client import Client
from loom.models.endpoint import Endpoint, read_endpoint


class Endpoints:
    """The endpoints of one configuration, by name; each has one breaker and its connections."""

    def __init__(self, endpoints: Mapping[str, Endpoint], clock: Clock, random: Random) -> None:
        self._clients = {
            name: Client(endpoint, clock, random) for name, endpoint in endpoints.items()
        }
        for endpoint in endpoints.values():
            for other in endpoint.fallback:
                if other not in endpoints:
                    raise ConfigError(
                        f"'fallback' in [llm.{endpoint.name}] names {other!r}, and there is no "
                        f"[llm.{other}]"
                    )

    def records(self) -> list[ModelRecord]:
        """All endpoints, without their secrets."""
        return [client.record for client in self._clients.values()]

    def named(self, name: str) -> Client:
        """The endpoint *name*; of an empty name the one called `default`, else the first.

        Raises:
            ModelError: there is none.
        """
        if not name and self._clients:
            return self._clients.get("default") or next(iter(self._clients.values()))
        if name not in self._clients:
            known = ", ".join(self._clients) or "none"
            raise ModelError(
                name, "MODEL_REFUSED", f"there is no [llm.{name}]; there are: {known}",
                is_final=True,
            )  # fmt: skip
        return self._clients[name]

    def outlook(self, name: str, request: ModelRequest) -> tuple[int, list[Endpoint]]:
        """How many tokens *request* sends, and which endpoints may be asked, in order.

        Raises:
            ModelError: there is no endpoint *name*.
        """
        chain = self._chain(name)
        tokens = max(client.counter.count_request(request) for client in chain)
        return tokens, [client.endpoint for client in chain]

    @asynccontextmanager
    async def stream(
        self, name: str, request: ModelRequest, cause: Envelope | None = None
    ) -> AsyncIterator[AsyncIterator[ModelPart]]:
        """Ask endpoint *name*, then its fallbacks, until a first part is there.

        Raises:
            ModelError: of the first that could have answered, if none did.
        """
        cause = cause or current.get()
        labels = cause.labels if cause is not None else frozenset[str]()
        async with AsyncExitStack() as stack:
            yield await self._first_of(self._chain(name), request, labels, stack)

    async def aclose(self) -> None:
        """End all connections."""
        for client in self._clients.values():
            await client.aclose()

    def _chain(self, name: str) -> list[Client]:
        chosen = self.named(name)
        return [chosen, *(self._clients[other] for other in chosen.endpoint.fallback)]

    async def _first_of(
        self,
        chain: list[Client],
        request: ModelRequest,
        labels: frozenset[str],
        stack: AsyncExitStack,
    ) -> AsyncIterator[ModelPart]:
        problems: list[ModelError] = []
        for client in chain:
            # A model is one endpoint's; the others have their own.
            asked = msgspec.structs.replace(request, model="") if problems else request
            try:
                return await stack.enter_async_context(client.stream(asked, labels))
            except ModelError as error:
                problems.append(error)
        raise _sum_of(problems)


def _sum_of(problems: list[ModelError]) -> ModelError:
    """The first problem, which also says what became of the fallbacks."""
    first, *others = problems
    if not others:
        return first
    more = "; ".join(f"{other.endpoint!r}: {other.code}" for other in others)
    return ModelError(
        first.endpoint, first.code, f"{first.message}; the fallbacks failed too: {more}",
        is_final=all(one.is_final for one in problems), retry_after=first.retry_after,
        partial=first.partial,
    )  # fmt: skip


def read_endpoints(tables: Mapping[str, Any]) -> dict[str, Endpoint]:
    """The endpoints that the tables of `[llm]` describe.

    Raises:
        ConfigError: one of them makes no sense.
    """
    found: dict[str, Endpoint] = {}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise ConfigError(f"llm.{name} must be a table: write [llm.{name}]")
        found[name] = read_endpoint(name, table)
    return found
