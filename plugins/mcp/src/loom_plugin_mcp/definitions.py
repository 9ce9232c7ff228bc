"""The tools of a server: what it says of them, what is pinned, and what is announced."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from loom.contracts import ToolDescriptor, ToolHints, canonical
from loom.pins import fingerprint

from loom_plugin_mcp.configuration import Server
from loom_plugin_mcp.schemas import SchemaRefused, harmless
from loom_plugin_mcp.texts import clean

if TYPE_CHECKING:
    from mcp_types import Tool

NAME = re.compile(r"[A-Za-z0-9_./-]{1,128}")
LONGEST_DESCRIPTION = 4_096
"""Characters."""
GRACE = 1.0
"""Seconds after the time a call may take, in which we say ourselves that it was not answered."""
LARGEST = 64 << 10
"""Bytes of one definition, as JSON."""
LARGEST_LISTING = 512 << 10
"""Bytes of all definitions of one server."""


class Definition(msgspec.Struct, frozen=True):
    """One tool of a server."""

    name: str
    """As the server calls it."""
    fingerprint: str
    """Over all that the server says of it."""
    description: str = ""
    parameters: dict[str, Any] = {}
    hints: ToolHints = ToolHints()
    problem: str = ""
    """Why it cannot be announced; empty if it can."""

    def descriptor(self, server: Server) -> ToolDescriptor:
        """What is announced of it."""
        return ToolDescriptor(
            f"{server.name}:{self.name}", self.description, self.parameters, provider="mcp",
            timeout=server.timeout + GRACE, hints=self.hints, permissions=server.needs,
            labels=("untrusted",),
        )  # fmt: skip

    def record(self) -> dict[str, Any]:
        """What is pinned of it: enough to see what has changed, and that nothing has."""
        return {
            "fingerprint": self.fingerprint,
            "description": self.description,
            "parameters": self.parameters,
        }


def define(tool: Tool) -> Definition:
    """What *tool* comes to here."""
    said = tool.model_dump(
        by_alias=True, mode="json", exclude_none=True, exclude={"meta", "icons", "output_schema"}
    )
    size = len(canonical(said))
    name = clean(tool.name, 128)
    if size > LARGEST:
        problem = f"its definition has {size} bytes, at most {LARGEST} are taken"
        return Definition(name, fingerprint(said), problem=problem)
    if not NAME.fullmatch(tool.name):
        return Definition(name, fingerprint(said), problem="its name is no name for a tool")
    try:
        parameters = harmless(tool.input_schema)
    except (SchemaRefused, RecursionError) as error:
        return Definition(name, fingerprint(said), problem=str(error))
    description = clean(tool.description or tool.title or "", LONGEST_DESCRIPTION)
    return Definition(tool.name, fingerprint(said), description, parameters, _hints(tool))


def _hints(tool: Tool) -> ToolHints:
    """The server's own claims; by the protocol, silence means the worse."""
    said = tool.annotations
    if said is None:
        return ToolHints(destructive=True)
    read_only = said.read_only_hint is True
    return ToolHints(
        read_only=read_only,
        destructive=not read_only and said.destructive_hint is not False,
        idempotent=said.idempotent_hint is True,
    )
