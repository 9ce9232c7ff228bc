"""Which arguments a program may be given.

A grammar names each option that is allowed; whatever it does not name is refused, so a program can
only do what somebody has looked at. Options are written as

    -l          a flag; flags may be joined, as in -la
    -n=         takes a value: -n5 or -n 5
    --all       a long option; only its full name counts, never the beginning of it
    --sort=     takes a value: --sort=size or --sort size
    --color=?   may take a value, and only as --color=always
    -NUM        a number, as in -5
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from loom_kernel import LoomError

ANY: Literal["any"] = "any"
_NUMBER = re.compile(r"-\d+")
_FORM = re.compile(r"-NUM|-[A-Za-z0-9]=?|--[A-Za-z0-9][A-Za-z0-9-]*(=\??)?")


class ArgumentRefused(LoomError):
    """An argument is not among those that this program may be given; nothing was started."""

    def __init__(self, argument: str, why: str) -> None:
        self.argument = argument
        super().__init__(f"{argument[:80]!r} {why}")


class Grammar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The arguments of one program; `[plugins.native.program.<name>]` writes one."""

    options: tuple[str, ...] | Literal["any"] = ()
    """`any` lets every argument pass: for programs that may do all that they can do."""
    subcommands: tuple[str, ...] = ()
    """What the first argument that is no option must be; empty = anything."""
    operands: int = 1000
    """How many arguments that are no options it takes at most."""
    begins: str = ""
    """What each of those begins with."""

    def problem(self) -> str:
        """What is wrong with the grammar itself, or nothing."""
        if self.options == ANY:
            return ""
        wrong = [option for option in self.options if not _FORM.fullmatch(option)]
        return f"{wrong[0]!r} is no option; write -x, -x=, --xyz or --xyz=" if wrong else ""

    def check(self, arguments: Sequence[str]) -> None:
        """Let *arguments* pass.

        Raises:
            ArgumentRefused: one of them is not allowed.
        """
        if self.options == ANY and not self.subcommands:
            return
        operands = list(self._operands(arguments))
        if self.subcommands and (not operands or operands[0] not in self.subcommands):
            known = ", ".join(self.subcommands)
            raise ArgumentRefused("".join(operands[:1]), f"is not allowed; what is: {known}")
        if self.options == ANY:
            return
        if len(operands) > self.operands:
            raise ArgumentRefused(operands[self.operands], "is one argument too many here")
        for operand in operands:
            if not operand.startswith(self.begins):
                raise ArgumentRefused(operand, f"does not begin with {self.begins!r}")
            if operand.startswith("@"):
                raise ArgumentRefused(operand, "could mean a file of arguments; write ./@… for one")

    def _operands(self, arguments: Sequence[str]) -> Iterator[str]:
        """Check the options, and yield what is none. Options may come after operands."""
        rest = iter(arguments)
        for argument in rest:
            if argument == "--":
                yield from rest
            elif argument == "-" or not argument.startswith("-"):
                yield argument
            elif self.options == ANY:
                continue
            elif argument.startswith("--"):
                self._long(argument, rest)
            elif not ("-NUM" in self.options and _NUMBER.fullmatch(argument)):
                self._short(argument, rest)

    def _long(self, argument: str, rest: Iterator[str]) -> None:
        name, has_value, _ = argument.partition("=")
        if f"{name}=" in self.options:
            if not has_value:
                _take_value(argument, rest)
        elif not (name in self.options and not has_value) and f"{name}=?" not in self.options:
            raise ArgumentRefused(argument, "is an option that is not allowed")

    def _short(self, argument: str, rest: Iterator[str]) -> None:
        for place, letter in enumerate(argument[1:], start=2):
            if f"-{letter}=" in self.options:
                if place == len(argument):
                    _take_value(argument, rest)
                return
            if f"-{letter}" not in self.options:
                raise ArgumentRefused(argument, f"has the option '-{letter}', which is not allowed")


def _take_value(option: str, rest: Iterator[str]) -> None:
    value = next(rest, None)
    if value is None:
        raise ArgumentRefused(option, "needs a value")
    # If the program were to see no value there, it would see an option that nobody has checked.
    if value.startswith("-") and not _NUMBER.fullmatch(value):
        raise ArgumentRefused(value, f"looks like an option; join it to {option!r}")
