"""`[mcp.<server>]`: what is taken, and what is refused by the names of server and key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from loom_kernel import ConfigError
from loom_plugin_mcp.configuration import read_servers

pytestmark = pytest.mark.feature("MCP-01")


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    table = {
        "command": ["node", "server.js"], "args": ["-v"], "env": {"A": "b"}, "cwd": "work",
        "read": ["in"], "write": ["out"], "network": True, "memory": 256, "timeout": 5,
        "include": ["a"], "exclude": ["b"], "permissions": ["net"], "sampling": "ask",
        "elicitation": "ask", "protocol": "2025-11-25", "enabled": False,
    }  # fmt: skip
    (server,) = read_servers({"one": table}, tmp_path)
    assert server.argv == ("node", "server.js", "-v")
    assert (server.read, server.write) == ((str(tmp_path / "in"),), (str(tmp_path / "out"),))
    assert (server.cwd, server.timeout, server.permissions) == (
        str(tmp_path / "work"), 5.0, ("net",)
    )  # fmt: skip
    assert [server.wants(name) for name in "abc"] == [True, False, False]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({}, "'command' in [mcp.one]: give either `command` or `url`"),
        ({"command": "x", "url": "http://localhost"}, "give either"),
        ({"command": ""}, "'command' in [mcp.one]: is no program"),
        (
            {"command": "x", "comand": 1},
            "unknown key 'comand' in [mcp.one]; did you mean 'command'?",
        ),
        ({"command": "x", "name": "y"}, "unknown key 'name' in [mcp.one]"),
        ({"command": 1}, "'command' in [mcp.one]: Expected"),
        ({"command": "x", "network": "yes"}, "'network' in [mcp.one]: Expected `bool`"),
        ({"command": "x", "env": {"A": 1}}, "'env' in [mcp.one]: Expected `str`"),
        (
            {"command": "x", "env": {"A": "${NOT_SET}"}},
            "'env' in [mcp.one]: it needs the variable NOT_SET",
        ),
        ({"command": "x", "args": ["${NOT_SET}"]}, "it needs the variable NOT_SET"),
        ({"command": "x", "timeout": 0}, "'timeout' in [mcp.one]: must be more than 0"),
        ({"command": "x", "memory": -1}, "'memory' in [mcp.one]"),
        ({"command": "x", "sampling": "allow"}, "'sampling' in [mcp.one]: Invalid enum"),
        ({"command": "x", "read": [""]}, "'read' in [mcp.one]"),
        ({"url": "ftp://localhost"}, "'url' in [mcp.one]"),
        ({"url": "http://example.org"}, "only loopback addresses may be reached without TLS"),
        ({"url": "https://user:pass@example.org"}, "'url' in [mcp.one]"),
        ({"url": "https://example.org", "network": True}, "'network' in [mcp.one]"),
        ({"url": "https://example.org", "transport": "ws"}, "'transport' in [mcp.one]"),
        ("x", "mcp.one must be a table"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, table: Any, problem: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read_servers({"one": table}, tmp_path)
    assert problem in str(refusal.value)


@pytest.mark.parametrize("name", ["One", "a.b", "a_b", "", "server", "x" * 40, "a b"])
def test_names_are_one_token(name: str) -> None:
    with pytest.raises(ConfigError, match="a server's name has"):
        read_servers({name: {"command": "x"}}, None)


def test_without_a_project_paths_are_absolute() -> None:
    with pytest.raises(ConfigError, match="must be absolute"):
        read_servers({"one": {"command": "x", "read": ["in"]}}, None)
