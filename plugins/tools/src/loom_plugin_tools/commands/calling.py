"""`tools` and `call`: what there is, and using it by hand."""

from __future__ import annotations

import json
import secrets
import sys
import threading
from pathlib import Path
from typing import Any

import click
from loom.instance import (
    CommandFailed,
    Refused,
    answer_of,
    ask,
    find_instance,
    instance_options,
    printable,
    record_table,
    say,
)
from loom_kernel import Paths

from loom_plugin_tools.commands.answers import order
from loom_plugin_tools.commands.approving import decide

LONGEST = 86_000.0
"""Seconds that a call which says nothing else may take, questions to a person included."""
LOOK = 0.2
"""Seconds between two looks whether a question waits."""
USAGE = ("INVALID_PARAMS", "CAPABILITY_ERROR")

_as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")


@click.group(invoke_without_command=True)
@click.option("--search", default="", metavar="WORDS", help="Only those that fit, the best first.")
@click.option("--schema", is_flag=True, help="Show what arguments they take.")
@_as_json
@instance_options
@click.pass_context
def tools(
    ctx: click.Context,
    search: str,
    schema: bool,
    as_json: bool,
    folder: str | None,
    state: Path | None,
) -> None:
    """List the tools of a running Loom, or install some from an archive: see the commands below.

    \b
    loom tools
    loom tools --search 'read a file'
    loom tools --json
    loom tools install words-1.0.zip
    """
    if ctx.invoked_subcommand is not None:
        ctx.obj = folder, state
        return
    paths = find_instance(folder, state)
    query = {"query": search, "limit": 20}
    found = answer_of(paths, *(("tool.search", query) if search else ("tool.list",)))["tools"]
    if as_json:
        click.echo(json.dumps(found))
        return
    columns = ("name", "version", "provider", "owner", "permissions", "description")
    say(record_table(found, columns) if found else "no tools")
    for tool in found if schema else ():
        say(f"\n{printable(tool['name'])} {json.dumps(tool['parameters'], indent=2)}")


@click.command()
@click.argument("name")
@click.argument("arguments", default="{}", metavar="[JSON]")
@click.option("--version", default="", help="1 = the highest 1.x; the highest of all by default.")
@click.option("--timeout", type=click.FloatRange(min=0.001), default=None, help="Seconds.")
@click.option("--reason", default="", help="Why; shown to whoever is asked.")
@click.option("--yes", is_flag=True, help="Say yes to the question whether it may run.")
@_as_json
@instance_options
def call(
    name: str,
    arguments: str,
    version: str,
    timeout: float | None,
    reason: str,
    yes: bool,
    as_json: bool,
    folder: str | None,
    state: Path | None,
) -> None:
    """Call tool NAME of a running Loom with arguments in JSON (- reads them from standard input).

    The output is printed as JSON. If it needs an approval you are asked here; without a terminal
    the question waits for `loom approve`. Exit codes: 0 done, 1 not done, 2 the call is wrong, 4
    no Loom runs. Ctrl-C cancels the call.

    \b
    loom call fs:list_dir '{"path": "."}'
    loom call fs:write_file '{"path": "a.txt", "content": "hello"}' --yes
    loom call web:fetch - --json <request.json
    """
    paths = find_instance(folder, state)
    wanted = {
        "name": name, "arguments": _parsed(arguments), "version": version, "reason": reason,
        "timeout": timeout or 0.0, "id": f"cli-{secrets.token_hex(8)}",
    }  # fmt: skip
    result = _Call(paths, wanted).result(yes=yes, quiet=as_json)
    if as_json:
        click.echo(json.dumps(result))
    elif result["code"] == "ACTION_OK":
        click.echo(json.dumps(result["output"], indent=2, ensure_ascii=False))
    if result["code"] != "ACTION_OK":
        message = f"{result['code']}: {result['error']['message']}"
        raise (Refused if result["code"] in USAGE else CommandFailed)(message)


def _parsed(text: str) -> Any:
    try:
        found = json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise click.BadParameter(f"the arguments are not JSON: {error}") from error
    if not isinstance(found, dict):
        raise click.BadParameter(f"the arguments are {text!r}; write an object, such as '{{}}'")
    return found


class _Call:
    """A call that runs in a thread, while this one looks whether a question waits."""

    def __init__(self, paths: Paths, wanted: dict[str, Any]) -> None:
        self._paths = paths
        self._wanted = wanted
        self._outcome: list[Any] = []
        self._done = threading.Event()

    def result(self, *, yes: bool, quiet: bool) -> dict[str, Any]:
        threading.Thread(target=self._run, daemon=True).start()
        asked: set[str] = set()
        try:
            while not self._done.wait(LOOK):
                self._answer(asked, yes=yes, quiet=quiet)
        except KeyboardInterrupt:
            self._cancel()
            raise
        (outcome,) = self._outcome
        if isinstance(outcome, Exception):
            raise outcome
        found: dict[str, Any] = outcome
        return found

    def _run(self) -> None:
        limit = self._wanted["timeout"] + 5.0 if self._wanted["timeout"] else LONGEST
        try:
            self._outcome.append(answer_of(self._paths, "tool.call", self._wanted, timeout=limit))
        except Exception as error:  # noqa: BLE001  # the other thread raises it
            self._outcome.append(error)
        self._done.set()

    def _answer(self, asked: set[str], *, yes: bool, quiet: bool) -> None:
        """Put the question of this call to the person here, once."""
        for approval in order(self._paths, "approval.list")["approvals"]:
            if approval["capsule"]["call"] != self._wanted["id"] or approval["digest"] in asked:
                continue
            asked.add(approval["digest"])
            if yes:
                decide(self._paths, approval, allow=True)
            elif sys.stdin.isatty() and not quiet:
                say(printable_block(approval["text"]), err=True)
                decide(self._paths, approval, allow=click.confirm("Run it?", err=True))
            else:
                id = approval["capsule"]["id"]
                say(f"waits for an approval: loom approve {id}", err=True)

    def _cancel(self) -> None:
        data = {"id": self._wanted["id"]}
        ask(self._paths, "publish", topic="tool.call.cancel", data=data)


def printable_block(text: str) -> str:
    """*text* of several lines, without what a terminal would obey."""
    return "\n".join(map(printable, text.splitlines()))
