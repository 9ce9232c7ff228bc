"""Why the memory says no."""

from __future__ import annotations

from typing import Literal

from loom_kernel import LoomError

Code = Literal["INVALID_PARAMS", "BUDGET_EXCEEDED"]


class Refusal(LoomError):
    """A request that makes no sense, or asks for too much; *code* is one of the error codes."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


class Stopped(LoomError):
    """The memory is closed: this Loom is stopping."""

    def __init__(self) -> None:
        super().__init__("the memory is closed: this Loom is stopping")
