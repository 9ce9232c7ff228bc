"""The gRPC services that other plugins have the bridge serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from loom.contracts import RemoteMethod
from loom_kernel import LoomError

OWN = ("loom.bridge.", "grpc.")
"""How the names begin that the bridge and gRPC itself use."""


class Services:
    """By name, and by method. *changed* is called when one comes or goes."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._known: dict[str, dict[str, RemoteMethod]] = {}
        self._code: dict[str, str] = {}

    @property
    def names(self) -> list[str]:
        """Of all that are served."""
        return sorted(self._known)

    @property
    def code(self) -> list[str]:
        """The modules that describe them."""
        return sorted(set(self._code.values()))

    def add(
        self, service: str, methods: Mapping[str, RemoteMethod], code: str
    ) -> Callable[[], None]:
        """See `loom.contracts.Bridge.serve`."""
        if service in self._known or service.startswith(OWN):
            raise LoomError(f"the gRPC service {service!r} is served already")
        self._known[service] = dict(methods)
        self._code[service] = code
        self._changed()
        return partial(self._remove, service)

    def find(self, path: str) -> RemoteMethod | None:
        """What answers calls of *path* (`/service/method`)."""
        _, _, rest = path.partition("/")
        service, _, method = rest.partition("/")
        return self._known.get(service, {}).get(method)

    def _remove(self, service: str) -> None:
        self._code.pop(service, None)
        if self._known.pop(service, None) is not None:
            self._changed()
