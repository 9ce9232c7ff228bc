"""`loom record`, `loom replay`, `loom fork`, `loom test-from`."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import msgspec
from loom.contracts import RUN_FORMAT, Handling, RunHeader
from loom.instance import (
    CommandFailed,
    NotRunning,
    find_instance,
    instance_options,
    json_option,
    printable,
    say,
)
from loom_kernel import ConfigError, LoomError, load_profiled_config

from loom_plugin_journal.commands.asking import Moment, ask, opened

EVERYTHING = 1 << 62
TEST = '''"""What was recorded in {file} happens again. Made by `loom test-from`."""

from __future__ import annotations

from pathlib import Path

from loom.replay import replay

HERE = Path(__file__).parent


def test_{name}_happens_again() -> None:
    report = replay(HERE / "{file}", app=HERE.parent)
    assert report.is_same, report.text()
    assert report.digest == "{digest}"
'''


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("run.jsonl"))
@click.option("--since", type=Moment(), default=0.0, help="Not before: 8h (ago), or a time.")
@click.option("--until", type=Moment(), default=0.0, help="Before this time.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
@instance_options
def record(
    output: Path,
    since: float,
    until: float,
    force: bool,
    as_json: bool,
    folder: str | None,
    state: Path | None,
) -> None:
    """Write how agents handled their events to a file: last night, to be looked at again.

    It is kept while Loom runs (setting record); this takes it out, whether or not a Loom runs.
    The file holds what tools read and answered: look at it before you give it away.

    \b
    loom record --since 8h -o night.jsonl
    """
    if output.exists() and not force:
        raise CommandFailed(f"{output} is there already; name another, or say --force")
    from loom.replay import write_run

    handlings, before = _recorded(folder, state, since, until)
    if not handlings:
        raise CommandFailed("no agent has handled an event in that time")
    paths = find_instance(folder, state)
    app = paths.project.name if paths.project else ""
    header = RunHeader(RUN_FORMAT, app, before, _tables(paths), version("loom-plugin-journal"))
    try:
        count = write_run(output, header, handlings)
    except OSError as error:
        raise CommandFailed(f"{output} cannot be written: {error.strerror}") from None
    if as_json:
        click.echo(json.dumps({"file": str(output), "handlings": count}))
    else:
        say(printable(f"{output}: {count} events that agents handled"))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("app", type=click.Path(path_type=Path), default=Path())
@click.option("--until", type=click.IntRange(min=1), default=None, help="End after event N.")
@json_option
def replay(file: Path, app: Path, until: int | None, as_json: bool) -> None:
    """Give the agents of APP (or of the current folder) the same again, and compare.

    Nothing is done: tools, replies and times come from FILE. Exit code 1 = something differs.

    \b
    loom replay night.jsonl
    loom replay night.jsonl --until 120
    """
    report = _replayed(file, app, until or 0)
    if as_json:
        click.echo(msgspec.json.encode({**msgspec.to_builtins(report), "same": report.is_same}))
    else:
        for line in report.text().splitlines():
            say(printable(line))
    if not report.is_same:
        raise SystemExit(1)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--at", type=click.IntRange(min=0), required=True, help="Go on after event N.")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="A new folder.")
@json_option
def fork(file: Path, at: int, state: Path, as_json: bool) -> None:
    """Make a state folder that goes on from the moment after event N of FILE.

    Then change what you like (a prompt, a model, the code) and run the app with it: agents know
    what they knew, and are given what they had waiting. From there on all is real.

    \b
    loom fork night.jsonl --at 120 --state /tmp/other-night
    loom run --state /tmp/other-night
    """
    from loom.instance import prepare_state
    from loom.replay import read_run

    from loom_plugin_journal.fork import fork as forked

    try:
        header, handlings = read_run(file)
        prepare_state(state.absolute())
        made = forked(header, handlings, at, state.absolute() / "plugins" / "journal")
    except (LoomError, OSError) as error:
        raise CommandFailed(str(error)) from None
    if as_json:
        click.echo(msgspec.json.encode(made))
        return
    waiting = ", ".join(f"{agent} {count}" for agent, count in sorted(made.waiting.items()))
    say(printable(f"{state}: after event {at}; waiting: {waiting or 'nothing'}"))
    say(f"next: loom run --state {state}")


@click.command("test-from")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("app", type=click.Path(path_type=Path), default=Path())
@json_option
def test_from(file: Path, app: Path, as_json: bool) -> None:
    """Make a pytest of FILE in the folder tests of APP: what happened must happen again.

    \b
    loom test-from night.jsonl
    pytest tests
    """
    report = _replayed(file, app, 0)
    if not report.is_same:
        raise CommandFailed(f"it is no test: the code says something else now\n{report.text()}")
    folder = app / "tests"
    name = "".join(c if c.isalnum() and c.isascii() else "_" for c in file.stem.lower())
    kept, test = folder / file.name, folder / f"test_{name}.py"
    if test.exists():
        raise CommandFailed(f"{test} is there already; give {file.name} another name")
    folder.mkdir(exist_ok=True)
    if kept.absolute() != file.absolute():
        shutil.copyfile(file, kept)
    text = TEST.format(file=file.name, name=name, digest=report.digest)
    test.write_text(text, encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"test": str(test), "run": str(kept)}))
    else:
        say(printable(f"{test}: {report.handled} events; run it with pytest"))


def _replayed(file: Path, app: Path, until: int) -> Any:
    from loom.replay import replay as replayed

    try:
        return replayed(file, app.absolute(), until=until)
    except LoomError as error:
        raise CommandFailed(str(error)) from None


def _recorded(
    folder: str | None, state: Path | None, since: float, until: float
) -> tuple[list[Handling], dict[str, dict[str, Any]]]:
    """The handlings of that time, and what each agent knew before its first."""
    handlings: list[Handling] = []
    before: dict[str, dict[str, Any]] = {}
    for handling in _all(folder, state):
        if handling.ended < since:
            if handling.state is not None:
                before[handling.agent] = handling.state
        elif not until or handling.ended < until:
            handlings.append(handling)
    agents = {handling.agent for handling in handlings}
    return handlings, {agent: before.get(agent, {}) for agent in agents}


def _all(folder: str | None, state: Path | None) -> list[Handling]:
    found: list[Handling] = []
    try:
        while True:
            after = found[-1].number if found else 0
            page = ask(folder, state, "journal.runs", after=after)["handlings"]
            if not page:
                return found
            found += msgspec.convert(page, list[Handling])
    except NotRunning:
        from loom_plugin_journal.queries import handlings

        with opened(folder, state) as store:
            return handlings(store, 0, EVERYTHING)


def _tables(paths: Any) -> dict[str, dict[str, Any]]:
    """Each agent's table of `loom.toml`."""
    try:
        config, _, _ = load_profiled_config(paths, "")
    except ConfigError as error:
        raise CommandFailed(str(error)) from None
    agents = config.values.get("agents", {})
    return {id: table for id, table in agents.items() if isinstance(table, dict)}
