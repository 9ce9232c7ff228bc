"""What would be started or connected to, exactly: it is shown to the owner, and pinned."""

from __future__ import annotations

import fnmatch
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from loom.contracts import Command, Confinement
from loom.pins import fingerprint
from loom.processes import ENVIRONMENT, find_program, needs

from loom_plugin_mcp.configuration import Server

STEERING = (
    "PATH", "LD_*", "DYLD_*", "PYTHON*", "NODE_*", "NPM_*", "BASH_ENV", "ENV", "PERL5*", "RUBY*",
    "JAVA_TOOL_OPTIONS", "GIT_*",
)  # fmt: skip
"""Variables that decide which code runs: their values are pinned, of all others the names."""
SCRIPTS = frozenset((".cjs", ".jar", ".js", ".mjs", ".pl", ".py", ".rb", ".sh", ".ts"))
SYSTEM = Path("/usr")
LARGEST = 64 << 20
"""Bytes of a file up to which its content is pinned."""


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How one server is reached, and what it may reach itself."""

    argv: tuple[str, ...] = ()
    """The program's absolute path, then its arguments."""
    cwd: str = ""
    environment: tuple[str, ...] = ()
    """Names of the variables it is given besides the usual harmless ones."""
    steering: dict[str, str] = {}
    """Of those, the ones that decide which code runs, with their values."""
    files: dict[str, str] = {}
    """Programs and scripts outside the system's folders, with the SHA-256 of their content."""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    network: bool = False
    url: str = ""
    transport: str = ""
    headers: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """What is pinned."""
        return fingerprint(self.record())

    def record(self) -> dict[str, Any]:
        """All of it as JSON values."""
        values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return values

    def lines(self) -> list[str]:
        """All of it for people, one fact a line."""
        if self.url:
            sent = f"  sends the headers {', '.join(self.headers)}" if self.headers else ""
            return [f"connects to {self.url} ({self.transport})", *([sent] if sent else [])]
        names = ", ".join(self.environment)
        return [
            f"runs       {' '.join(map(repr, self.argv))}",
            f"in         {self.cwd}",
            f"variables  {names or 'none of yours'}",
            f"reads      {', '.join(self.read) or 'nothing'}, and the system's programs",
            f"writes     {', '.join(self.write) or 'nothing'}",
            f"network    {'the whole network' if self.network else 'none'}",
        ]

    def sentence(self) -> str:
        """What it is, and what it can reach, for people."""
        if self.url:
            return f"it is at {self.url}, and what it does there nobody here can say"
        reads, writes = (", ".join(places) or "nothing" for places in (self.read, self.write))
        network = "has the whole network" if self.network else "has no network"
        return (
            f"it runs {' '.join(map(repr, self.argv))}, may read {reads} and the system's "
            f"programs, write {writes}, and {network}"
        )

    def differences(self, other: dict[str, Any]) -> list[str]:
        """In what this differs from a launch that was pinned, one line each."""
        mine = self.record()
        return [
            f"{key}: {other.get(key)!r} → {mine[key]!r}"
            for key in mine
            if mine[key] != other.get(key, mine[key])
        ]


def find_launch(server: Server, base: Path | None) -> Launch:
    """What *server* comes down to here, now. Blocks: it reads files.

    Raises:
        ProgramMissing: there is no such program.
    """
    if server.url:
        kind = "streamable HTTP" if server.transport == "http" else "SSE"
        return Launch(url=server.url, transport=kind, headers=tuple(sorted(server.headers)))
    program = find_program(server.argv[0], server.env.get("PATH", ""), base)
    seen = (server.cwd,) if server.cwd else ()
    return Launch(
        argv=(program, *server.argv[1:]),
        cwd=server.cwd or ENVIRONMENT["HOME"],
        environment=tuple(sorted(server.env)),
        steering={name: value for name, value in server.env.items() if _steers(name)},
        files=_contents(program, server.argv[1:], server.cwd),
        read=tuple(dict.fromkeys((*needs(program), *server.read, *seen))),
        write=server.write,
        network=server.network,
    )


def command_of(server: Server, launch: Launch) -> tuple[Command, Confinement]:
    """What the sandbox is asked for."""
    folder = str(Path(launch.argv[0]).parent)
    path = {"PATH": f"{folder}:{ENVIRONMENT['PATH']}"}
    command = Command(launch.argv, launch.cwd, {**ENVIRONMENT, **path, **server.env})
    within = Confinement(
        read=launch.read, write=launch.write, network=launch.network, memory=server.memory << 20
    )
    return command, within


def _steers(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in STEERING)


def _contents(program: str, arguments: tuple[str, ...], cwd: str) -> dict[str, str]:
    """The programs and scripts that lie where others than the system put files."""
    named = [Path(cwd or "/", one) for one in arguments if Path(one).suffix in SCRIPTS]
    found = {str(file): _digest(file) for file in (Path(program), *named)}
    return {file: digest for file, digest in found.items() if digest}


def _digest(file: Path) -> str:
    try:
        real = file.resolve(strict=True)
        if real.is_relative_to(SYSTEM) or not real.is_file() or real.stat().st_size > LARGEST:
            return ""
        with real.open("rb") as content:
            return _hash(content)
    except OSError:
        return ""


def _hash(content: Any) -> str:
    digest = sha256()
    while block := content.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
