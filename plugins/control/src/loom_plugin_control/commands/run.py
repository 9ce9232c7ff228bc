"""`run`: an app's folder in the foreground, in real time or in simulated time."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from loom.instance import APP, duration, find_instance, parse_duration, prepare_state
from loom_kernel import LoomError, RealClock, describe_ready, run_kernel, runtime_options

from loom_plugin_control.commands.events import read_data
from loom_plugin_control.errand import Errand, asked

if TYPE_CHECKING:
    from loom_kernel import Host, Runtime


def _parse_simulated(ctx: click.Context, option: click.Parameter, text: str) -> float:
    return parse_duration(text) if text else 0.0


@click.command()
@runtime_options
@click.option("--dev", is_flag=True, help="Restart an agent when its file changes.")
@click.option(
    "--simulate", default="", callback=_parse_simulated, metavar="TIME",
    help="Let TIME (24h, 90m) pass as fast as it can, then end.",
)  # fmt: skip
@click.option(
    "--publish", "events", multiple=True, nargs=2, metavar="TOPIC JSON",
    help="Begin with an event, once somebody listens to TOPIC; may be repeated.",
)  # fmt: skip
@click.option("--query", default="", metavar="TEXT", help="Ask the app, and print its answer.")
@click.option(
    "--until", default="", metavar="TOPIC", help="End with an event on TOPIC, and print its data."
)
@click.argument("folder", required=False, type=click.Path(), metavar="[DIR]")
def run(
    folder: str | None,
    dev: bool,
    simulate: float,
    events: tuple[tuple[str, str], ...],
    query: str,
    until: str,
    **options: Any,
) -> None:
    """Run an app's folder (DIR, or the current one) in the foreground until Ctrl-C.

    The first Ctrl-C lets what is being handled finish, and the exit code is 0; a second one ends
    Loom at once, with 130. With --until it is 1 if no such event came. A simulation keeps its
    state in a folder that is removed afterwards, unless --state names one: what happens in a
    simulated future is not what happened. What takes a --query, and which event answers it, says
    the app's loom.toml: `[run] query = TOPIC, until = TOPIC`.

    \b
    loom run sdk/apps/desk
    loom run --dev
    loom run sdk/apps/desk --simulate 24h
    loom run sdk/apps/deep-research --query 'How do owls hunt?'
    loom run sdk/apps/desk --publish note.added '{"text": "x"}' --until note.kept
    """
    paths = find_instance(folder, options["state"])
    if paths.project is None:
        raise click.UsageError(f"the current folder holds no {APP}; say which folder: loom run DIR")
    if dev:
        options["overrides"] = ("plugins.agents.reload=true", *options["overrides"])
    errand = _errand(paths.project, events, query, until)

    def on_ready(runtime: Runtime) -> None:
        click.echo(describe_ready(runtime), err=True)
        errand.begin(runtime)

    if simulate:
        code = _simulate(paths.project, simulate, on_ready, options)
    else:
        prepare_state(paths.state)
        options["with_"] = (*options["with_"], "control")
        code = run_kernel(paths.project, on_ready, **options)
    sys.exit(code or int(errand.has_failed))


def _errand(project: Path, events: tuple[tuple[str, str], ...], query: str, until: str) -> Errand:
    published = [(topic, read_data(data)) for topic, data in events]
    try:
        if query:
            question, end = asked(project, query)
            published.append(question)
            until = until or end
        return Errand(published, until)
    except (LoomError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _simulate(
    project: Path, seconds: float, begin: Callable[[Runtime], None], options: dict[str, Any]
) -> int:
    """Run *project* for *seconds* of virtual time; the exit code."""
    # The control socket is left out: clients live in real time.
    from loom_kernel.testing import VirtualClock, VirtualLoop

    def on_ready(runtime: Runtime) -> None:
        begin(runtime)
        timer = runtime.host("simulation")
        timer.spawn(_stop_after(timer, seconds), "end")

    def run_virtual(main: Coroutine[Any, Any, int]) -> int:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(main)

    options["without"] = (*options["without"], "control")
    with tempfile.TemporaryDirectory(prefix="loom-") as folder:
        state = options.pop("state") or Path(folder, "state")
        clock = VirtualClock(RealClock().time())
        code = run_kernel(project, on_ready, state=state, clock=clock, run=run_virtual, **options)
    click.echo(f"{duration(seconds)} have passed", err=True)
    return code


async def _stop_after(timer: Host, seconds: float) -> None:
    await timer.clock.sleep(seconds)
    timer.stop_runtime()
