"""`run`: an app's folder in the foreground, in real time or in simulated time."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from loom.instance import APP, duration, find_instance, parse_duration, prepare_state
from loom_kernel import RealClock, describe_ready, run_kernel, runtime_options

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
@click.argument("folder", required=False, type=click.Path(), metavar="[DIR]")
def run(folder: str | None, dev: bool, simulate: float, **options: Any) -> None:
    """Run an app's folder (DIR, or the current one) in the foreground until Ctrl-C.

    The first Ctrl-C lets what is being handled finish, and the exit code is 0; a second one ends
    Loom at once, with 130. A simulation keeps its state in a folder that is removed afterwards,
    unless --state names one: what happens in a simulated future is not what happened.

    \b
    loom run sdk/apps/desk
    loom run --dev
    loom run sdk/apps/desk --simulate 24h
    """
    paths = find_instance(folder, options["state"])
    if paths.project is None:
        raise click.UsageError(f"the current folder holds no {APP}; say which folder: loom run DIR")
    if dev:
        options["overrides"] = ("plugins.agents.reload=true", *options["overrides"])
    if simulate:
        sys.exit(_simulate(paths.project, simulate, options))
    prepare_state(paths.state)
    options["with_"] = (*options["with_"], "control")
    sys.exit(run_kernel(paths.project, _announce, **options))


def _announce(runtime: Runtime) -> None:
    click.echo(describe_ready(runtime), err=True)


def _simulate(project: Path, seconds: float, options: dict[str, Any]) -> int:
    """Run *project* for *seconds* of virtual time; the exit code."""
    # The control socket is left out: clients live in real time.
    from loom_kernel.testing import VirtualClock, VirtualLoop

    def on_ready(runtime: Runtime) -> None:
        _announce(runtime)
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
