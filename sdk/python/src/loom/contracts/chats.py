"""Conversations between a person and an agent.

    chat.<agent>.said       a ChatSaid: the person speaks, which begins a turn
    chat.<agent>.stopped    {"session"}: end the turn that runs
    chat.<agent>.cleared    {"session"}: forget what was said
    chat.<agent>.history    request {"session"}, reply {"entries": [{"role", "content"}, …]}
    chat.<agent>.told       a ChatTold: what the agent says and does in a turn, in order

A turn ends with one `answered` or `failed`. What a turn told may come again if Loom was killed in
the middle of it: then it begins anew with `begun`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

ChatKind = Literal["begun", "text", "thinking", "step", "answered", "failed"]


class ChatSaid(msgspec.Struct, frozen=True):
    """What a person says."""

    text: str
    turn: str
    """Names the turn that this begins; new with each."""
    session: str = "main"
    research: bool = False
    """Whether it is worth a long search."""


class ChatTold(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of a turn."""

    kind: ChatKind
    turn: str
    session: str = "main"
    text: str = ""
    """`text`, `thinking`: more of it; `step`: what was observed; else the whole answer, or why
    there is none."""
    tools: tuple[str, ...] = ()
    """Of a `step`: the tools that were called."""
