"""Starting a program: its folder, its token, its sandbox, and the line with which it answers."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import stat
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Self

from loom.contracts import Command, Confinement, Sandbox
from loom.plugin import (
    FOLDER,
    LONGEST_HANDSHAKE,
    PROTOCOLS,
    PROTOCOLS_SPOKEN,
    TOKEN_DESCRIPTOR,
    Handshake,
    HandshakeFailed,
)
from loom.processes import ENVIRONMENT, Output, Process, needs
from loom_kernel import Host, Paths, private_dir

from loom_plugin_process.line import Line
from loom_plugin_process.program import MIB, Located, Program, absolute

SOCKETS = "sockets"
LONGEST_FOLDER = 70
"""Bytes: a socket's address holds 107, and the plugin chooses the name in a folder of its own."""
MEMORY = {"MALLOC_ARENA_MAX": "2"}
"""Each arena reserves 64 MiB of address space, which is what the limit counts."""
LAST_BREATH = 0.5
"""Seconds that a program which says nothing more has to turn out to have ended."""


class Launched:
    """A program that runs, from its start to its end. Whoever has one calls `aclose`."""

    def __init__(
        self, process: Process, folder: Path, token: str, output: Output, rate: int
    ) -> None:
        self.process = process
        self._token = token
        self._folder = folder
        self._rate = rate
        self._output = output
        self.line: Line | None = None

    @classmethod
    async def start(cls, host: Host, program: Program, located: Located, rate: int) -> Self:
        """Start *program*; *host* is its own, *rate* is that of its output in bytes a second.

        Raises:
            OSError, LoomError: it cannot be started.
        """
        folder = await asyncio.to_thread(make_folder, host.paths.state)
        token = secrets.token_hex(32)
        output = Output(host.log, host.clock, rate)
        try:
            descriptor = _handed_over(token)
            try:
                command = _confined(
                    host.require(Sandbox), program, located, host.world.paths, folder, descriptor
                )
                process = await Process.start(
                    command, host.spawn, errors=output.relay, pass_fds=(descriptor,),
                    limit=LONGEST_HANDSHAKE,
                )  # fmt: skip
            finally:
                os.close(descriptor)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, True)
            raise
        return cls(process, folder, token, output, rate)

    async def introduce(self, host: Host, program: Program) -> Line:
        """Read its handshake and call it; what it prints afterwards is logged.

        Raises:
            HandshakeFailed: it is none, or none came.
        """
        try:
            line = await self.process.stdout.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                Handshake.parse(error.partial, str(self._folder))
            raise HandshakeFailed(await self._silence()) from None
        except asyncio.LimitOverrunError:
            line = await self.process.stdout.read(LONGEST_HANDSHAKE)
        shake = Handshake.parse(line, str(self._folder))
        problem = await asyncio.to_thread(_problem_at, shake.address)
        if problem:
            raise HandshakeFailed(problem)
        rest = Output(host.log, host.clock, self._rate)
        host.spawn(rest.relay(self.process.stdout), f"output/{self.process.pid}")
        self.line = Line(shake.address, self._token, program.frame * MIB)
        return self.line

    async def _silence(self) -> str:
        """What to say of a program that ended its output without a handshake."""
        if not await self.process.wait_ended(LAST_BREATH):
            return "it closed its standard output before its handshake"
        await self.process.aclose()  # hears its last words
        return f"{self.ending()} before its handshake{self.last_words()}"

    async def why(self, answered: str) -> str:
        """Why it cannot be used that answered Init with *answered*: often it has ended."""
        if await self.process.wait_ended(LAST_BREATH):
            await self.process.aclose()
            return f"{self.ending()} before it had answered Init{self.last_words()}"
        return f"it answered Init with {answered}"

    def ending(self) -> str:
        """How the process ended, in words."""
        code = self.process.code or 0
        if code < 0:
            return f"it was killed by {signal.Signals(-code).name}"
        return f"it ended with exit code {code}"

    def last_words(self) -> str:
        """What it said last on its standard error, as the end of a sentence."""
        said = " / ".join(self._output.last)
        return f"; it said: {said}" if said else "; it said nothing on its standard error"

    async def end(self, patience: float) -> None:
        """Terminate it and, after *patience* seconds, kill it and all that it started."""
        if self.process.code is None:
            self.process.terminate()
            await self.process.wait_ended(patience)

    async def aclose(self) -> None:
        """Kill what is left of it, and remove its folder."""
        try:
            if self.line is not None:
                await self.line.aclose()
        finally:
            await self.process.aclose()
            await asyncio.to_thread(shutil.rmtree, self._folder, True)


def make_folder(state: Path) -> Path:
    """A new folder for one socket, for its owner only, with a path that an address can hold."""
    return private_dir(sockets_of(state) / secrets.token_hex(4))


def clear_folders(state: Path) -> None:
    """Remove what a killed runtime left. Blocks."""
    shutil.rmtree(sockets_of(state), ignore_errors=True)


def sockets_of(state: Path) -> Path:
    """Where the sockets of the plugins of one instance lie; elsewhere if its own path is long."""
    folder = state / SOCKETS
    if len(os.fsencode(folder)) <= LONGEST_FOLDER:
        return folder
    instance = sha256(os.fsencode(state)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"loom-{os.getuid()}-{instance}")


def _handed_over(token: str) -> int:
    """A descriptor from which *token* can be read, once, to its end."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        pipe.write(token.encode())
    return reading


def _confined(
    sandbox: Sandbox, program: Program, located: Located, paths: Paths, folder: Path, token: int
) -> Command:
    own = (located.cwd,) if located.cwd else ()
    variables = {
        **ENVIRONMENT, **(MEMORY if program.memory else {}), **program.env,
        TOKEN_DESCRIPTOR: str(token),
        FOLDER: str(folder),
        PROTOCOLS: ",".join(map(str, PROTOCOLS_SPOKEN)),
    }  # fmt: skip
    within = Confinement(
        read=(*needs(located.argv[0]), *located.files[1:], *own, *absolute(program.read, paths)),
        write=(str(folder), *absolute(program.write, paths)),
        network=program.network,
        memory=program.memory * MIB,
    )
    return sandbox.confine(Command(located.argv, located.cwd or "/", variables), within)


def _problem_at(address: str) -> str:
    try:
        if stat.S_ISSOCK(os.lstat(address).st_mode):
            return ""
        return f"what it calls its socket, {address!r}, is none"
    except OSError as error:
        return f"its socket {address!r} cannot be reached: {error.strerror}"
