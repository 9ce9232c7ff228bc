"""Which sandbox: the best that works here, or the one that the owner named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loom.contracts import Command, Confinement, Sandbox
from loom_kernel import ConfigError, LoomError

GROUP = "loom.sandbox"
BEST_FIRST = ("bubblewrap", "landlock")
AUTO, NONE = "auto", "dangerously_none"


class SandboxMissing(LoomError):
    """Programs cannot be confined here, so none is started."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__(
            f"this program is not started: nothing here can confine it ({'; '.join(reasons)}); "
            "install bubblewrap, and see `loom doctor`"
        )


class Missing:
    """No mechanism works: refuses whatever would have to be confined."""

    mechanism = "none"

    def __init__(self, reasons: list[str]) -> None:
        self._reasons = reasons

    def confine(self, command: Command, within: Confinement) -> Command:
        raise SandboxMissing(self._reasons)

    def contain(self, command: Command) -> Command:
        return command


class Unconfined:
    """What the owner asked for by name: programs run with all that this process may do."""

    mechanism = "none"

    def confine(self, command: Command, within: Confinement) -> Command:
        return command

    def contain(self, command: Command) -> Command:
        return command


def choose(name: str, load: Callable[[str, str], Any]) -> tuple[Sandbox, list[str]]:
    """The sandbox for setting *name*, and what its owner should know. *load* is `Host.driver`.

    Raises:
        LoomError: there is no driver of that name, or it does not work here.
    """
    if name == NONE:
        return Unconfined(), [f"driver = {NONE!r}: programs are started without a sandbox"]
    reasons: list[str] = []
    for candidate in BEST_FIRST if name == AUTO else (name,):
        found = load(GROUP, candidate).probe()
        if not isinstance(found, str):
            return found, [*reasons, *found.cautions]
        reasons.append(found)
    if name != AUTO:
        raise ConfigError(f"[plugins.sandbox] driver = {name!r}: {reasons[0]}")
    return Missing(reasons), [f"programs cannot be confined here: {'; '.join(reasons)}"]
