"""`python -m loom.testing.models [--port N] [--script FILE]`: runs one in the foreground."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import msgspec

from loom.testing.models.answers import Answer, Script, echo
from loom.testing.models.server import FakeModels


@click.command()
@click.option("--port", default=8000, show_default=True, help="On loopback; 0 = a free one.")
@click.option(
    "--script",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='A JSON list of answers, used in order: [{"text": "Hello."}, "Bye."].',
)
def main(port: int, file: Path | None) -> None:
    """Run a model server that says again what it is told, or what FILE says.

    It speaks chat completions, responses and messages.

    \b
    Example:
      python -m loom.testing.models --port 8000
    """
    script = read_script(file) if file is not None else echo
    try:
        asyncio.run(serve(script, port))
    except KeyboardInterrupt:
        click.echo("stopped")


def read_script(file: Path) -> Script:
    """The answers in *file*."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Answer | str])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="--script") from error


async def serve(script: Script, port: int) -> None:
    """Serve until cancelled."""
    async with FakeModels(script, port=port) as models:
        click.echo(f"a model is at {models.url}; stop it with Ctrl-C")
        await asyncio.Event().wait()


main()
