"""`loom new`, `loom init`, `loom create`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from loom_kernel import LoomError

from loom_plugin_new.scaffold import PROCESS_TOOL, app_templates, check_name, render

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
PARENT = click.option(
    "--in",
    "parent",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder to make it in, instead of the current one.",
)
SUMMARY = click.option("--summary", default="", help="One line about it.")
TEMPLATE = click.option(
    "--template", type=click.Choice(app_templates()), default="app", help="What to begin with."
)

BUILDS = {"c": ["make"], "assemblyscript": ["npm ci --ignore-scripts", "npm run build"]}
"""How a tool in WebAssembly is built, by language."""


@click.group()
def new() -> None:
    """Start a plugin or an app from a template.

    \b
    loom new plugin hello
    loom new process-tool words --lang node
    loom new app my-app
    loom new app my-home --template home-automation
    """


@new.command()
@click.argument("name")
@click.option("--lang", type=click.Choice(["python"]), default="python", help="Its language.")
@SUMMARY
@PARENT
@AS_JSON
def plugin(name: str, lang: str, summary: str, parent: Path, as_json: bool) -> None:
    """Start a plugin that installs, is discovered, and passes its tests.

    \b
    loom new plugin hello
    cd loom-plugin-hello && pip install --no-deps -e .
    """
    made = render("plugin", name, parent, summary)
    _tell(made, as_json, [f"cd {made}", "pip install --no-deps -e .", f"loom plugins {name}"])


@new.command("process-tool")
@click.argument("name")
@click.option(
    "--lang", type=click.Choice(["python", "node"]), default="python", help="Its language."
)
@SUMMARY
@PARENT
@AS_JSON
def process_tool(name: str, lang: str, summary: str, parent: Path, as_json: bool) -> None:
    """Start a tool that runs in a process of its own, confined, in any language.

    \b
    loom new process-tool words
    loom new process-tool words --lang node
    """
    made = render(f"{PROCESS_TOOL}{lang}", name, parent, summary)
    install = ["npm ci"] if lang == "node" else []
    steps = [f"cd {made}", *install, "loom up .", f"loom process trust {name}"]
    _tell(made, as_json, steps)


def _make_app(name: str, template: str, summary: str, parent: Path, as_json: bool) -> None:
    made = render(template, name, parent, summary)
    _tell(made, as_json, [f"cd {made}", "loom run . --dev"])


@new.command()
@click.argument("name")
@TEMPLATE
@SUMMARY
@PARENT
@AS_JSON
def app(**options: Any) -> None:
    """Start an app: a folder with loom.toml and agents.

    \b
    loom new app my-app
    loom new app my-assistant --template voice-assistant
    """
    _make_app(**options)


@new.command(name="wasm-tool")
@click.argument("name")
@click.option("--lang", type=click.Choice(list(BUILDS)), default="c", help="Its language.")
@SUMMARY
@PARENT
@AS_JSON
def wasm_tool(name: str, lang: str, summary: str, parent: Path, as_json: bool) -> None:
    """Start a tool in WebAssembly: its source, how to build it, what Loom should know of it.

    \b
    loom new wasm-tool letters
    cd letters && make
    loom new wasm-tool letters --lang assemblyscript
    """
    made = render(f"wasm-tool/{lang}", name, parent, summary)
    _tell(made, as_json, [f"cd {made}", *BUILDS[lang], f"loom wasm trust {name}"])


@click.command()
@click.argument("name")
@TEMPLATE
@SUMMARY
@PARENT
@AS_JSON
def create(**options: Any) -> None:
    """Start an app; another name of `loom new app`.

    \b
    loom create my-app
    """
    _make_app(**options)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@TEMPLATE
@SUMMARY
@AS_JSON
def init(folder: Path, template: str, summary: str, as_json: bool) -> None:
    """Make FOLDER an app, named after it. Nothing that is there is changed.

    \b
    mkdir my-app && cd my-app && loom init
    """
    import tempfile

    folder = folder.absolute()
    name = check_name(folder.name)
    with tempfile.TemporaryDirectory() as scratch:
        made = render(template, name, Path(scratch), summary)
        files = sorted(file for file in made.rglob("*") if file.is_file())
        taken = [str(f.relative_to(made)) for f in files if (folder / f.relative_to(made)).exists()]
        if taken:
            raise LoomError(f"{folder} holds {', '.join(taken)} already; nothing was changed")
        for file in files:
            target = folder / file.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    _tell(folder, as_json, ["loom run . --dev"])


def _tell(made: Path, as_json: bool, steps: list[str]) -> None:
    if as_json:
        files = sorted(str(f.relative_to(made)) for f in made.rglob("*") if f.is_file())
        click.echo(json.dumps({"folder": str(made), "files": files, "next": steps}))
        return
    click.echo(f"made {made}; next:")
    for step in steps:
        click.echo(f"  {step}")
