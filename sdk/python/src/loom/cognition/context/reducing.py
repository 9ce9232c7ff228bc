"""What a tool call came to, in one line: for steps that are not told in full any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import msgspec

from loom.cognition.context.offloading import count_lines

WIDTH = 160
"""Characters of a line."""
OF_ARGUMENT = 60
OF_COMMAND = 80

Reducer = Callable[[Mapping[str, Any], Any], str]
"""Makes the line of a call that succeeded of its arguments and its output."""


class StepReducer:
    """Makes one line of each call; `register` adds a tool's own way."""

    def __init__(self) -> None:
        self._reducers: dict[str, Reducer] = dict(_OWN)

    def register(self, tool: str, reducer: Reducer) -> None:
        """Let *reducer* make the lines of *tool*: its full name, or what comes after the colon."""
        self._reducers[tool] = reducer

    def reduce(self, tool: str, arguments: Mapping[str, Any], output: Any, error: str = "") -> str:
        """The line of a call: what was asked, and what came of it or (*error*) why nothing did."""
        if error:
            return one_line(f"{tool}({brief(arguments)}) failed: {error}")
        reducer = self._reducers.get(tool) or self._reducers.get(tool.rpartition(":")[2])
        if reducer is not None:
            with suppress(KeyError, TypeError, ValueError, AttributeError, IndexError):
                return one_line(reducer(arguments, output))  # else its output is of another kind
        return one_line(f"{tool}({brief(arguments)}) → {_size(output)}")


def one_line(text: str, width: int = WIDTH) -> str:
    """*text* without line breaks, at most *width* characters."""
    plain = " ".join(text[: width * 8].split())
    return plain if len(plain) <= width else plain[: width - 1] + "…"


def brief(arguments: Mapping[str, Any]) -> str:
    """The arguments, each at its shortest."""
    return ", ".join(
        f"{one_line(str(name), 30)}={one_line(_plain(value), OF_ARGUMENT)}"
        for name, value in list(arguments.items())[:6]
    )


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value if len(value) <= OF_ARGUMENT else f"{len(value)} characters"
    return msgspec.json.encode(value).decode()


def _size(output: Any) -> str:
    """A short output itself; of a long one how much it is, and how it begins."""
    if output is None:
        return "done"
    text = output if isinstance(output, str) else msgspec.json.encode(output).decode()
    if len(text) <= OF_ARGUMENT:
        return text or "nothing"
    return f"{count_lines(text)} lines, {len(text)} characters: {text[:OF_ARGUMENT]}…"


def _read(arguments: Mapping[str, Any], output: Any) -> str:
    text = output if isinstance(output, str) else output["content"]
    return f"read {arguments['path']}: {count_lines(text)} lines, {len(text)} characters"


def _write(arguments: Mapping[str, Any], output: Any) -> str:
    text = arguments["content"]
    return f"wrote {arguments['path']}: {count_lines(text)} lines, {len(text)} characters"


def _edit(arguments: Mapping[str, Any], output: Any) -> str:
    old, new = str(arguments.get("old", "")), str(arguments.get("new", ""))
    return f"edited {arguments['path']}: +{count_lines(new)} −{count_lines(old)} lines"


def _list(arguments: Mapping[str, Any], output: Any) -> str:
    entries = output["entries"]
    names = ", ".join(str(entry["name"]) for entry in entries[:12])
    return f"listed {arguments.get('path', '.')}: {len(entries)} entries: {names}"


def _delete(arguments: Mapping[str, Any], output: Any) -> str:
    return f"deleted {arguments['path']}"


def _shell(arguments: Mapping[str, Any], output: Any) -> str:
    command = arguments.get("command") or arguments.get("argv") or arguments
    words = " ".join(map(str, command)) if isinstance(command, list) else str(command)
    said = str(output["stdout"] or output["stderr"])
    shown = one_line(said, 100) if count_lines(said) <= 10 else f"{count_lines(said)} lines"
    return f"ran {one_line(words, OF_COMMAND)}: exit code {output['exit_code']}: {shown}"


def _search(arguments: Mapping[str, Any], output: Any) -> str:
    results = output["results"] if isinstance(output, dict) else output
    return f"searched {one_line(str(arguments['query']), OF_COMMAND)}: {len(results)} results"


def _fetch(arguments: Mapping[str, Any], output: Any) -> str:
    text = output if isinstance(output, str) else output["text"]
    return f"fetched {urlsplit(str(arguments['url'])).netloc}: {len(text)} characters"


def _found(arguments: Mapping[str, Any], output: Any) -> str:
    names = ", ".join(tool["name"] for tool in output["tools"])
    return f"looked for tools to {arguments['query']}: {names}"


_OWN: dict[str, Reducer] = {
    "read_file": _read,
    "write_file": _write,
    "edit_file": _edit,
    "list_dir": _list,
    "delete": _delete,
    "system:shell": _shell,
    "web:search": _search,
    "web:fetch": _fetch,
    "tools:search": _found,
}
