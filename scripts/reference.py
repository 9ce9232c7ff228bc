"""Writes docs/reference/plugins.md from the manifests (`--check` only compares)."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs/reference/plugins.md"


def manifests() -> Iterator[dict[str, Any]]:
    """Every plugin's manifest, by name."""
    for file in sorted(ROOT.glob("plugins/*/src/*/loom-plugin.toml")):
        yield tomllib.loads(file.read_text("utf-8"))


def rows(title: str, head: str, cells: Iterator[str]) -> Iterator[str]:
    """A table under *title*, if there is anything to show."""
    found = list(cells)
    if found:
        columns = head.count("|") + 1
        yield f"\n**{title}**\n\n| {head} |\n|{'---|' * columns}\n" + "\n".join(found) + "\n"


def page() -> str:
    """The whole page."""
    parts = [
        "# Plugins\n\nGenerated from the manifests by `make reference`; the plugins' own pages say more.\n"
    ]
    for manifest in manifests():
        name = manifest["name"]
        parts.append(f"\n## {name}\n\n{manifest['summary']}. Its page: `plugins/{name}/README.md`.\n")
        needs = [f"{key}: {', '.join(manifest[key])}" for key in ("requires", "after", "permissions", "tables") if manifest.get(key)]  # fmt: skip
        if needs:
            parts.append(f"\n{' · '.join(needs)}\n")
        parts += rows("Commands", "Command | Help", (f"| `loom {c}` | {h} |" for c, h in manifest.get("commands", {}).items()))  # fmt: skip
        parts += rows("Topics", "Topic | Meaning", (f"| `{t}` | {h} |" for t, h in manifest.get("topics", {}).items()))  # fmt: skip
        parts += rows("Settings", "Setting | Type | Default | Help", (setting(k, s) for k, s in manifest.get("settings", {}).items()))  # fmt: skip
    return "".join(parts)


def setting(name: str, described: dict[str, Any]) -> str:
    """A row about one setting."""
    default = described.get("default", "")
    shown = f"`{default!r}`" if default != "" else ""
    return f"| `{name}` | {described['type']} | {shown} | {described['help']} |"


def main() -> int:
    """Write the page, or say that it is not what the manifests say."""
    text = page()
    if "--check" not in sys.argv:
        TARGET.write_text(text, "utf-8")
        return 0
    if TARGET.read_text("utf-8") == text:
        return 0
    print(f"{TARGET.relative_to(ROOT)} is not what the manifests say; run: make reference", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
