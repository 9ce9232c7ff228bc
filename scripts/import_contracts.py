"""Prove who may import whom: kernel <- SDK <- plugins, and no plugin another plugin.

The wire format lies beside the kernel: neither imports the other.

The contract is written from the workspace's members, so that adding a plugin touches no other file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from workspace import ROOT, distributions

LINTER = Path(sys.executable).with_name("lint-imports")
CONTRACT = """\
[importlinter]
root_packages =
    {packages}

[importlinter:contract:house]
name = kernel <- SDK <- plugins, and plugins are strangers to each other
type = layers
layers =
    {plugins}
    loom
    loom_kernel | loom_proto
"""


def main() -> None:
    """Run import-linter over every member of the workspace."""
    modules = [member.module for member in distributions().values()]
    plugins = " | ".join(name for name in modules if name.startswith("loom_plugin_"))
    with tempfile.TemporaryDirectory() as folder:
        contract = Path(folder) / "importlinter.ini"
        text = CONTRACT.format(packages="\n    ".join(modules), plugins=plugins)
        contract.write_text(text, encoding="utf-8")
        done = subprocess.run([LINTER, "--no-cache", "--config", contract], cwd=ROOT, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
