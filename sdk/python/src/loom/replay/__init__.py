"""Replaying a recorded run: the agents' code is given the same again, and must say the same.

Nothing is done to the world: tools, replies and times come from the record, and whatever else a
handler tries (a socket, a process, a file to write) raises `EffectInReplay`.
"""

from __future__ import annotations

from loom.replay.errors import Diverged, EffectInReplay, RunUnreadable
from loom.replay.files import read_run, write_run
from loom.replay.recorded import envelope_of
from loom.replay.replaying import Difference, ReplayReport, replay

__all__ = [
    "Difference",
    "Diverged",
    "EffectInReplay",
    "ReplayReport",
    "RunUnreadable",
    "envelope_of",
    "read_run",
    "replay",
    "write_run",
]
