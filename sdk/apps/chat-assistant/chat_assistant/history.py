"""What was said in each session, kept in the agent's state."""

from __future__ import annotations

from typing import Any

from loom.cognition import WorkingMemory

SESSIONS = 50
"""Conversations that are kept; the one that was used longest ago goes first."""


class Histories:
    """Sessions in *state*, of each the latest *most* entries."""

    def __init__(self, state: dict[str, Any], most: int) -> None:
        self._sessions: dict[str, list[dict[str, Any]]] = state.setdefault("sessions", {})
        self._most = most

    def memory(self, session: str) -> WorkingMemory:
        """What was said in *session*, for the one who thinks."""
        memory = WorkingMemory(self._most)
        for entry in self._sessions.get(session, []):
            memory.add(entry["role"], entry["content"], labels=entry["labels"])
        return memory

    def keep(self, session: str, memory: WorkingMemory) -> None:
        """Keep *memory* as what was said in *session*."""
        self._sessions.pop(session, None)
        self._sessions[session] = [
            {"role": entry.role, "content": entry.content, "labels": sorted(entry.labels)}
            for entry in memory.get_recent(self._most)
        ]
        while len(self._sessions) > SESSIONS:
            del self._sessions[next(iter(self._sessions))]

    def entries(self, session: str) -> list[dict[str, str]]:
        """What was said in *session*, the oldest first."""
        return [
            {"role": entry["role"], "content": entry["content"]}
            for entry in self._sessions.get(session, [])
        ]

    def clear(self, session: str) -> None:
        """Forget what was said in *session*."""
        self._sessions.pop(session, None)
