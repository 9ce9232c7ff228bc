"""What a bus offers to those who use it, whether it is in this process or in another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypedDict, Unpack

from loom_kernel.envelope import Envelope, EnvelopeFields
from loom_kernel.routing import Filter
from loom_kernel.subscription import Qos, Subscription


class Identity:
    """Who publishes: stamped as sender and source, never taken from the author."""

    __slots__ = ("name", "source")

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source


class SubscribeOptions(TypedDict, total=False):
    """How a subscription behaves; see `Bus.subscribe`."""

    name: str
    qos: Qos
    overflow: str
    capacity: int
    types: Iterable[str]
    group: str
    durable: str
    key: Callable[[Envelope], str] | None


class Exchange(Protocol):
    """What a host needs of a bus: `Bus` has it, and so has the far end of a bridge."""

    node: str

    async def publish(
        self, identity: Identity, topic: str, data: Any = None, type: str = "",
        **fields: Unpack[EnvelopeFields],
    ) -> int: ...  # fmt: skip

    def publish_nowait(
        self, identity: Identity, topic: str, data: Any = None, type: str = "",
        **fields: Unpack[EnvelopeFields],
    ) -> int: ...  # fmt: skip

    async def request(
        self, identity: Identity, topic: str, data: Any = None, type: str = "",
        *, timeout: float = 5.0, **fields: Unpack[EnvelopeFields],
    ) -> Envelope: ...  # fmt: skip

    def subscribe(
        self, subscriber: str, patterns: Iterable[str], **options: Unpack[SubscribeOptions]
    ) -> Subscription: ...

    def add_filter(
        self, passed: Filter, patterns: Iterable[str], *, order: int = 0
    ) -> Callable[[], None]: ...

    def publish_error(
        self, code: str, source: str, error: BaseException, /, **details: str
    ) -> None: ...

    def new_inbox(self) -> str: ...
