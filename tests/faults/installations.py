"""Broken distributions and real kernels, for whoever breaks things on purpose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOM = Path(sys.executable).with_name("loom")

MANIFEST = 'hook_api = 1\nname = "{name}"\nsummary = "for a test"\n'

WITNESS = """
import json, os
from contextlib import asynccontextmanager
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    def watch(envelope):
        with open(os.environ["WITNESS"], "a") as told:
            told.write(json.dumps([envelope.topic, envelope.data]) + "\\n")
        return envelope

    host.add_filter(watch, "$loom.>")
    yield
"""

GOOD = """
from contextlib import asynccontextmanager
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    yield
"""

AUDIT = """
import os, sys

def watch(event, arguments):
    file = getattr(arguments[0], "co_filename", "") if event == "exec" else ""
    if "strange_" in file:
        with open(os.environ["AUDIT"], "a") as executed:
            executed.write(file.rpartition("strange_")[2].partition("/")[0] + "\\n")

if "AUDIT" in os.environ:
    sys.addaudithook(watch)
"""


@dataclass
class Ended:
    """A kernel that has run."""

    code: int
    out: str
    err: str
    events: list[tuple[str, Any]]
    imported: set[str]
    """Plugins of the site of which any line was executed."""

    @property
    def ready(self) -> dict[str, Any]:
        """The line that `--exit-when-ready` prints."""
        return dict(json.loads(self.out))

    @property
    def quarantined(self) -> dict[str, dict[str, str]]:
        """What `$loom.plugin.quarantined` told, by plugin."""
        told = [data for topic, data in self.events if topic == "$loom.plugin.quarantined"]
        return {data["name"]: data for data in told}


@dataclass
class Site:
    """A folder of installed distributions, put before those of the environment."""

    folder: Path
    names: list[str] = field(default_factory=list)

    def add(
        self,
        name: str,
        code: str | bytes = GOOD,
        manifest: str | bytes | None = "",
        *,
        package: str = "",
        entry: str = "",
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Install a plugin. *manifest*: more lines, or all of it as bytes, or None for no file."""
        package = package or f"strange_{name}"
        entry = entry or f"{name} = {package}.plugin"
        home = self.folder / package
        home.mkdir(exist_ok=True)
        (home / "__init__.py").touch()
        text = code if isinstance(code, bytes) else textwrap.dedent(code).encode()
        (home / "plugin.py").write_bytes(text)
        if isinstance(manifest, str):
            manifest = (MANIFEST.format(name=name) + textwrap.dedent(manifest)).encode()
        if manifest is not None:
            (home / "loom-plugin.toml").write_bytes(manifest)
        for file, content in (files or {}).items():
            (home / file).write_text(textwrap.dedent(content))
        self.describe(package, f"[loom.plugins]\n{entry}\n".encode())
        if name not in self.names:
            self.names.append(name)

    def describe(self, distribution: str, entry_points: bytes) -> None:
        """Write the metadata of a distribution."""
        metadata = self.folder / f"{distribution}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        (metadata / "entry_points.txt").write_bytes(entry_points)

    def start(self, *arguments: str, choose: list[str] | None = None, **environment: str) -> Ended:
        """Run `loom kernel --exit-when-ready` with the plugins *choose* (all) and the witness."""
        chosen = self.names if choose is None else ["witness", *choose]
        flags = [flag for name in chosen for flag in ("--with", name)]
        return self.loom(
            "kernel", "--profile", "mobile-lite", "--without", "models", "--without", "router",
            "--exit-when-ready", *flags, *arguments,
            **environment,
        )  # fmt: skip

    def loom(self, *arguments: str, **environment: str) -> Ended:
        """Run the `loom` command where this site is installed."""
        told, audit = self.folder / "told", self.folder / "audit"
        audit.unlink(missing_ok=True)
        variables = {"PYTHONPATH": str(self.folder), "WITNESS": str(told), "AUDIT": str(audit)}
        done = subprocess.run(
            [LOOM, *arguments],
            env=os.environ | variables | environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        lines = told.read_text().splitlines() if told.exists() else []
        events = [json.loads(line) for line in lines]
        imported = set(audit.read_text().split()) if audit.exists() else set()
        return Ended(done.returncode, done.stdout, done.stderr, events, imported)


def make_site(folder: Path) -> Site:
    """A site in *folder* with the plugin `witness`, which writes down what the kernel tells."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(AUDIT)
    found = Site(folder)
    found.add("witness", WITNESS)
    return found
