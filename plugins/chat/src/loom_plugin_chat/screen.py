"""What a person sees and types."""

from __future__ import annotations

import os
import sys
from typing import Any

import click
from loom.contracts import ChatTold
from loom.instance import printable

from loom_plugin_chat.channel import Question

PROMPT = "› "
LONGEST = 400
"""Characters of an observation that are shown, unless all is."""


class Screen:
    """Writes to standard output, in lines that no stranger's words can turn against a terminal.

    With *as_json* every told part is a line of JSON, and nothing else is written there.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.is_interactive = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
        self.is_streaming = True
        self.is_verbose = False
        self._as_json = as_json
        self._is_amid_line = False
        self._is_shown = False
        """Whether the answer was shown as it came."""

    def prompt(self) -> None:
        """Show that it is the person's turn."""
        if self.is_interactive:
            self._end_line()
            _print(PROMPT, nl=False, bold=True)

    def read(self) -> str | None:
        """The next line that is typed; None at the end."""
        try:
            line = input() if self.is_interactive else sys.stdin.readline()
        except EOFError:
            return None
        if not self.is_interactive and not line:
            return None
        return line.strip()

    def tell(self, told: ChatTold) -> None:
        """Show a part of a turn."""
        if self._as_json:
            self._json(told)
            return
        match told.kind:
            case "begun":
                self._is_shown = False
            case "text" if self.is_streaming:
                self._is_shown = True
                self._write(told.text)
            case "thinking" if self.is_verbose:
                self._write(told.text, dim=True)
            case "step":
                self._step(told)
            case "answered":
                if not self._is_shown:
                    self._write(told.text)
                self._is_shown = False
                self._end_line()
            case "failed":
                self.note(f"no answer: {told.text}")

    def ask(self, question: Question) -> None:
        """Show a call that waits for the person."""
        self._end_line()
        for line in question.text.splitlines():
            _print(f"  {printable(line)}", err=self._as_json)
        _print("allow it? yes or no ", nl=False, err=self._as_json, bold=True)

    def note(self, text: str) -> None:
        """Say something that is not the agent's."""
        self._end_line()
        _print("\n".join(printable(line) for line in text.splitlines()), err=self._as_json)

    def _step(self, told: ChatTold) -> None:
        self._end_line()
        text = told.text if self.is_verbose else told.text[:LONGEST]
        for line in f"[{', '.join(told.tools)}] {text}".splitlines():
            _print(printable(line), dim=True)

    def _write(self, text: str, **style: Any) -> None:
        lines = text.split("\n")
        _print("\n".join(printable(line) for line in lines), nl=False, **style)
        self._is_amid_line = bool(lines[-1]) or (self._is_amid_line and len(lines) == 1)

    def _end_line(self) -> None:
        if self._is_amid_line:
            _print()
            self._is_amid_line = False

    def _json(self, told: ChatTold) -> None:
        import msgspec

        _print(msgspec.json.encode(told).decode())


def _print(text: str = "", *, nl: bool = True, err: bool = False, **style: Any) -> None:
    """Print now; coloured on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    if style and not os.environ.get("NO_COLOR"):
        text = click.style(text, **style)
    click.echo(text, nl=nl, err=err)
    (sys.stderr if err else sys.stdout).flush()
