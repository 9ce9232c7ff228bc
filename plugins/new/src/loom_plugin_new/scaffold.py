"""Rendering a template into a folder that does not exist yet."""

from __future__ import annotations

import json
import re
from pathlib import Path

from loom_kernel import ConfigError, LoomError, installed

TEMPLATES = Path(__file__).parent / "templates"
PROCESS_TOOL = "process-tool-"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def app_templates() -> list[str]:
    """The templates that make an app."""
    return sorted(
        folder.name
        for folder in TEMPLATES.iterdir()
        if (folder / "cookiecutter.json").is_file()
        and folder.name != "plugin"
        and not folder.name.startswith(PROCESS_TOOL)
    )


def check_name(name: str) -> str:
    """Return *name* if it can name a plugin or an app.

    Raises:
        ConfigError: it cannot; the message says what can.
    """
    if not NAME.fullmatch(name) or len(name) > 40:
        raise ConfigError(
            f"{name!r} cannot be a name: use small letters, digits and single dashes, "
            "beginning with a letter, at most 40"
        )
    return name


def render(template: str, name: str, parent: Path, summary: str = "") -> Path:
    """Render *template* for *name* below *parent*; the new folder.

    Raises:
        LoomError: the name is no name, or the folder exists already; nothing is written then.
    """
    from cookiecutter.generate import generate_files

    check_name(name)
    is_plugin = template == "plugin" or template.startswith(PROCESS_TOOL)
    if is_plugin and (name in installed() or name in ("kernel", "sdk", "proto")):
        raise ConfigError(f"a plugin {name!r} is installed already; choose another name")
    source = TEMPLATES / template
    context = _context(source, name, summary)
    target = parent / (f"loom-plugin-{name}" if template == "plugin" else name)
    if target.exists():
        raise LoomError(f"{target} exists already; choose another name or folder")
    parent.mkdir(parents=True, exist_ok=True)
    generate_files(str(source), {"cookiecutter": context}, str(parent), accept_hooks=False)
    return target


def _context(source: Path, name: str, summary: str) -> dict[str, str]:
    """The template's own variables with *name* and *summary* in their places."""
    from jinja2 import Environment

    known: dict[str, str] = json.loads((source / "cookiecutter.json").read_text("utf-8"))
    known["name"] = name
    known["summary"] = _plain(summary) or known["summary"]
    environment = Environment(autoescape=False)  # noqa: S701  # TOML and Python, no HTML
    return {
        key: environment.from_string(value).render(cookiecutter=known)
        for key, value in known.items()
    }


def _plain(summary: str) -> str:
    """*summary* as it can stand in TOML and in a docstring."""
    return " ".join(summary.replace("\\", " ").replace('"', "'").replace("{", "(").split())
