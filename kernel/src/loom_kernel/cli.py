"""The `loom` command. The kernel owns `kernel` and `plugins`; plugins bring all others.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 already running, 4 not running,
130 interrupted. Listing the commands reads manifests only: a plugin is imported when one of its
commands is used.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from loom_kernel.catalogue import Entry, installed

if TYPE_CHECKING:
    from pathlib import Path

    from loom_kernel.clock import Clock
    from loom_kernel.runtime import Runtime

EXIT_USAGE, EXIT_RUNNING, EXIT_INTERRUPTED = 2, 3, 130


def _catalogue() -> dict[str, Entry]:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return installed(os.path.join(base, "loom"))


class _Commands(click.Group):
    """The kernel's own commands and, by their manifests, those of every installed plugin."""

    def _contributed(self) -> dict[str, tuple[str, str]]:
        """Command → the plugin that brings it, and its line of help."""
        found: dict[str, tuple[str, str]] = {}
        for name, entry in _catalogue().items():
            commands = entry["manifest"].get("commands", {})
            if not entry["problem"] and isinstance(commands, dict):
                for command, summary in commands.items():
                    found.setdefault(command, (name, str(summary)))
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._contributed()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        source = self._contributed().get(cmd_name)
        return own if own or source is None else _load_command(source[0], cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from loom_kernel.manifest import nearest

            raise click.UsageError(
                f"no such command {args[0]!r}{nearest(args[0], self.list_commands(ctx))}", ctx
            ) from error

    def invoke(self, ctx: click.Context) -> Any:
        gc.freeze()
        gc.enable()  # a command may run for days
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(EXIT_INTERRUPTED)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        contributed = self._contributed()
        rows = []
        for name in self.list_commands(ctx):
            own = self.commands.get(name)
            rows.append((name, own.get_short_help_str(80) if own else contributed[name][1]))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _load_command(plugin: str, command: str) -> click.Command:
    from loom_kernel.plugins import Plugins

    plugins = Plugins(_catalogue())
    plugins.load([plugin, *plugins.requirements(plugin)], seconds=10.0)
    if plugin in plugins.quarantined:
        lost = plugins.quarantined[plugin]
        raise click.ClickException(f"plugin {plugin!r} cannot be used: {lost.stage}: {lost.reason}")
    for found in plugins.call(plugin, "loom_add_commands") or ():
        if found.name == command:
            return found  # type: ignore[no-any-return]  # the hook says so
    raise click.ClickException(
        f"plugin {plugin!r} lists command {command!r}, but does not bring it"
    )


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="loom-kernel", prog_name="loom")
def loom() -> None:
    """Loom: a runtime for agents that live in the real world.

    \b
    loom run sdk/apps/desk        run an app folder in the foreground
    loom up; loom status          run in the background
    loom tail 'file.>'            watch events as they happen
    """


def runtime_options(command: Any) -> Any:
    """The options of every command that starts a runtime."""
    from pathlib import Path

    for option in (
        click.option("--log", type=click.Choice(["text", "json"]), default="text", help="Log as."),
        click.option("--state", type=click.Path(path_type=Path), help="Another state folder."),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key."),
        click.option("--without", multiple=True, metavar="PLUGIN", help="Leave a plugin out."),
        click.option("--with", "with_", multiple=True, metavar="PLUGIN", help="Run a plugin too."),
        click.option("--profile", default="", help="Which plugins run, e.g. mobile-lite, desktop."),
    ):  # fmt: skip
        command = option(command)
    return command


@loom.command()
@runtime_options
@click.option("--project", type=click.Path(file_okay=False), help="Folder with a loom.toml.")
@click.option("--exit-when-ready", is_flag=True, help="Print one JSON line when ready, and stop.")
def kernel(project: str | None, exit_when_ready: bool, **options: Any) -> None:
    """Run Loom in the foreground.

    \b
    loom kernel --profile desktop
    loom kernel --profile mobile-lite --exit-when-ready
    loom kernel --with hello --set plugins.files.settle=1.0
    """
    from pathlib import Path

    def on_ready(runtime: Runtime) -> bool:
        if exit_when_ready:
            click.echo(json.dumps(_readiness(runtime)))
        else:
            click.echo(describe_ready(runtime), err=True)
        return not exit_when_ready

    sys.exit(run_kernel(Path(project) if project else None, on_ready, **options))


def run_kernel(
    project: Path | None,
    on_ready: Any,
    *,
    profile: str = "",
    with_: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    overrides: tuple[str, ...] = (),
    state: Path | None = None,
    log: str = "text",
    run: Any = None,
    clock: Clock | None = None,
) -> int:
    """Hold the state folder, run a runtime until it is asked to stop, and return the exit code.

    *run* runs the coroutine instead of `asyncio.run`, by *clock*: a simulation brings both.
    """
    import asyncio

    from loom_kernel.errors import ConfigError
    from loom_kernel.logs import configure_logging
    from loom_kernel.paths import find_paths
    from loom_kernel.profiles import chosen_plugins, load_profiled_config
    from loom_kernel.runtime import Runtime
    from loom_kernel.service import StateLock, serve

    if project is not None and not project.is_dir():
        raise ConfigError(f"there is no folder {project}; `loom new app` makes one")
    gc.disable()  # `serve` enables it when the runtime is ready
    paths = find_paths(project, state)
    config, name, chosen = load_profiled_config(paths, profile, overrides)
    configure_logging(log)

    names = chosen_plugins(chosen, config, with_, without)
    runtime = Runtime(paths, config, names, profile=name, clock=clock, entries=_catalogue())
    with StateLock(paths):  # only now: wrong configuration leaves no trace
        return int((run or asyncio.run)(serve(runtime, on_ready)))


def describe_ready(runtime: Runtime) -> str:
    """One line for people: what runs, and what does not and why."""
    lines = [f"Loom is ready ({runtime.profile}): {', '.join(runtime.attached) or 'no plugins'}"]
    quarantined = runtime.quarantined.values()
    lines += [f"  not used: {lost.name} ({lost.stage}: {lost.reason})" for lost in quarantined]
    return "\n".join(lines)


def _readiness(runtime: Runtime) -> dict[str, Any]:
    import time

    with open("/proc/self/stat", encoding="ascii") as stat:
        started = int(stat.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return {
        "ready_ms": round((time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000),
        "rss_mb": round(_peak_kib() / 1024, 1),
        "plugins": runtime.attached,
    }


def _peak_kib() -> int:
    """This process's peak; `getrusage` would count that of whoever started it."""
    with open("/proc/self/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmHWM:")).split()[1])


@loom.command()
@click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
@click.argument("name", required=False)
def plugins(name: str | None, as_json: bool) -> None:
    """List what is installed, or show all about one plugin. Imports nothing.

    \b
    loom plugins
    loom plugins files
    """
    entries = _catalogue()
    if name and name not in entries:
        from loom_kernel.manifest import nearest

        raise click.UsageError(f"no plugin {name!r} is installed{nearest(name, list(entries))}")
    chosen = {name: entries[name]} if name else entries
    if as_json or name:
        click.echo(json.dumps(chosen, indent=None if as_json else 2))
        return
    for entry in chosen.values():
        summary = entry["problem"] or entry["manifest"].get("summary", "")
        click.echo(f"{entry['name']:<12} {entry['version']:<8} {summary}")


def main() -> None:
    """The console script: one line for each error that is the user's to mend."""
    from loom_kernel.errors import AlreadyRunning, ConfigError, LoomError

    try:
        loom()
    except ConfigError as error:
        click.echo(f"loom: {error}", err=True)
        sys.exit(EXIT_USAGE)
    except AlreadyRunning as error:
        click.echo(f"loom: {error}", err=True)
        sys.exit(EXIT_RUNNING)
    except LoomError as error:
        click.echo(f"loom: {error}", err=True)
        sys.exit(1)
