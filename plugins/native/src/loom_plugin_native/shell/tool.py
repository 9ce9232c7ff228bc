"""`system:shell`: what a model is told about it, and what it does."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import Any

from loom import ToolError, ToolProvider
from loom.contracts import (
    Command,
    Confinement,
    Preparation,
    Sandbox,
    ToolCall,
    ToolDescriptor,
    ToolHints,
)
from loom.processes import ENVIRONMENT, needs
from loom_kernel import Host, LoomError, ServiceMissing

from loom_plugin_native.errors import WorkspaceError
from loom_plugin_native.paths import split
from loom_plugin_native.shell.grammar import ArgumentRefused
from loom_plugin_native.shell.programs import Program, ProgramRefused, Programs
from loom_plugin_native.shell.runner import MOST_OUTPUT, run

NAME = "system:shell"
TIMEOUT = 30.0
VARIABLES = {**ENVIRONMENT, "LC_ALL": "C.UTF-8"}
MEMORY, TEMPORARY = 512 << 20, 64 << 20

_RESULT = {
    "type": "object",
    "properties": {
        "exit_code": {"type": "integer", "description": "Below 0: the signal that ended it"},
        "stdout": {"type": "string"},
        "stderr": {"type": "string"},
        "truncated": {"type": "boolean", "description": "It said more, and was ended for that"},
    },
    "required": ["exit_code", "stdout", "stderr", "truncated"],
    "additionalProperties": False,
}


def describe(names: list[str]) -> ToolDescriptor:
    """The descriptor, for these programs."""
    return ToolDescriptor(
        name=NAME,
        description=(
            "Run a program of the system in the workspace, with a list of arguments: there is no "
            "shell, so no pipes, no wildcards and no variables. It may read the workspace, has no "
            f"network and {TIMEOUT:g} s. Programs: {', '.join(names)}."
        ),
        parameters={
            "type": "object",
            "properties": {
                "program": {"type": "string", "minLength": 1, "maxLength": 128},
                "args": {
                    "type": "array",
                    "items": {"type": "string", "maxLength": 8192},
                    "maxItems": 256,
                    "default": [],
                },
                "cwd": {
                    "type": "string",
                    "maxLength": 4096,
                    "default": ".",
                    "description": "A folder below the workspace, in which it runs",
                },
                "input": {
                    "type": "string",
                    "maxLength": MOST_OUTPUT,
                    "default": "",
                    "description": "What it reads as its standard input",
                },
            },
            "required": ["program"],
            "additionalProperties": False,
        },
        result=_RESULT,
        timeout=TIMEOUT,
        hints=ToolHints(),
        permissions=("exec",),
        concurrency=8,
    )


class ShellTool:
    """Checks a call against the grammar of its program, and runs it in the sandbox."""

    def __init__(self, host: Host, programs: Programs, workspace: Path) -> None:
        self._host = host
        self._programs = programs
        self._workspace = workspace.resolve()

    def offer(self, provider: ToolProvider) -> None:
        """Add the tool to *provider*."""
        provider.add(describe(self._programs.names), self.run, self.prepare)

    async def prepare(self, call: ToolCall) -> Preparation:
        """The whole command, and the file that it runs."""
        program, command = await asyncio.to_thread(self._resolve, call)
        can = "may write in the workspace" if program.entry.write else "may not write"
        return Preparation(
            summary=f"run {shlex.join(command.argv)}; it {can} and has no network",
            cwd=command.cwd,
            environment=tuple(sorted(command.environment)),
            files={program.path: program.digest},
        )

    async def run(self, call: ToolCall) -> dict[str, Any]:
        """Run the program to its end."""
        program, command = await asyncio.to_thread(self._resolve, call)
        confined = self._confine(program, command)
        try:
            ended = await run(self._host, confined, call.arguments.get("input", ""))
        except OSError as error:
            raise ToolError(NAME, "ACTION_ERROR", f"it did not start: {error.strerror}") from error
        return {
            "exit_code": ended.code,
            "stdout": ended.output,
            "stderr": ended.errors,
            "truncated": ended.is_cut,
        }

    def _resolve(self, call: ToolCall) -> tuple[Program, Command]:
        """What would be run, if all of it is allowed."""
        arguments = call.arguments.get("args", [])
        try:
            program = self._programs.get(call.arguments["program"])
            for argument in arguments:
                _check_text(argument)
            program.entry.check(arguments)
            names = split(call.arguments.get("cwd", "."))
        except (ProgramRefused, ArgumentRefused) as refusal:
            details = {"reason": type(refusal).__name__}
            raise ToolError(NAME, "PERMISSION_DENIED", str(refusal), details) from refusal
        except WorkspaceError as refusal:
            details = {"reason": type(refusal).__name__}
            raise ToolError(NAME, refusal.code, str(refusal), details) from refusal
        folder = self._folder(names)
        return program, Command((program.path, *arguments), str(folder), VARIABLES)

    def _folder(self, names: tuple[str, ...]) -> Path:
        # What a program can reach is the sandbox's affair: this is only for a clear answer.
        folder = self._workspace.joinpath(*names).resolve()
        if not folder.is_relative_to(self._workspace):
            raise ToolError(NAME, "PERMISSION_DENIED", "cwd leads out of the workspace")
        if not folder.is_dir():
            raise ToolError(NAME, "ACTION_ERROR", f"cwd {'/'.join(names)!r} is no folder there")
        return folder

    def _confine(self, program: Program, command: Command) -> Command:
        try:
            sandbox = self._host.require(Sandbox)
        except ServiceMissing:
            missing = "programs run only in a sandbox; start Loom with the plugin sandbox"
            raise ToolError(NAME, "PROVIDER_UNAVAILABLE", missing) from None
        workspace = (str(self._workspace),)
        within = Confinement(
            read=(*needs(program.path), *(() if program.entry.write else workspace)),
            write=workspace if program.entry.write else (),
            memory=MEMORY,
            temporary=TEMPORARY,
        )
        try:
            return sandbox.confine(command, within)
        except LoomError as error:
            raise ToolError(NAME, "PROVIDER_UNAVAILABLE", str(error)) from error


def _check_text(argument: str) -> None:
    try:
        is_odd = b"\0" in argument.encode()
    except UnicodeEncodeError:
        is_odd = True
    if is_odd:
        raise ToolError(NAME, "INVALID_PARAMS", f"{argument[:80]!r} cannot be an argument")
