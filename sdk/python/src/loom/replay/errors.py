"""What can be wrong with a replay.

LoomError
├── RunUnreadable    the file is no recorded run
├── Diverged         the code asks for something that the record does not have
└── EffectInReplay   the code tries to do something to the world
"""

from __future__ import annotations

from loom_kernel import LoomError


class RunUnreadable(LoomError):
    """The file is no recorded run; the text says which line, and why."""


class Diverged(LoomError):
    """The code does something else than it did when the run was recorded."""


class EffectInReplay(LoomError):
    """The code tries to act on the world past its context, which a replay cannot know."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is an effect: in a replay nothing happens; let a tool do it")
