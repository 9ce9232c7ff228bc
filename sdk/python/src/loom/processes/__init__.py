"""Child processes that end: with their group, with whoever started them, within a bound.

Plugins that run programs (a shell tool, an MCP server, an out-of-process plugin) start them here,
so that each is confined, watched and ended in the same way.
"""

from __future__ import annotations

from loom.processes.output import Output
from loom.processes.process import Process, Relay, Spawn
from loom.processes.programs import ENVIRONMENT, ProgramMissing, find_program, needs
from loom.processes.restarts import RestartPolicy, Restarts

__all__ = [
    "ENVIRONMENT",
    "Output",
    "Process",
    "ProgramMissing",
    "Relay",
    "RestartPolicy",
    "Restarts",
    "Spawn",
    "find_program",
    "needs",
]
