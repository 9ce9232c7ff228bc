"""`make demo`: agents read real documents, work together through events, and write reports.

The app is sdk/apps/desk, run by the real runtime in a fresh folder on this repository's own pages.
Nothing is faked: the same happens with `loom run sdk/apps/desk` and a file of your own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from loom_kernel import (
    Envelope,
    Runtime,
    StateLock,
    chosen_plugins,
    find_paths,
    load_profiled_config,
)

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("docs/explanation/how-it-works.md", "docs/tutorial/first-agent.md", "SECURITY.md")
SHOWN = ("file.>", "document.>", "report.>", "tool.call.completed", "$loom.ready", "$loom.error")
SECONDS = 60.0
OFFLINE_WITHOUT = ("models", "router")


class Timeline:
    """Prints events as they are published: when, where, by whom, about what."""

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.is_complete = asyncio.Event()
        self._begin = 0.0
        self._colors = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def show(self, event: Envelope) -> Envelope:
        """Print one line for *event*; a filter, so nobody waits for it."""
        self._begin = self._begin or event.time
        about = _about(event)
        line = f"{event.time - self._begin:7.3f} s  {event.topic:<24} {event.sender:<11} {about}"
        print(self._colored(line, event.topic))
        if event.topic == "report.written":
            self.reports.append(event.data["report"])
            if len(self.reports) == len(DOCUMENTS):
                self.is_complete.set()
        return event

    def _colored(self, line: str, topic: str) -> str:
        if not self._colors:
            return line
        color = {"file": 36, "document": 33, "report": 32, "tool": 90}.get(topic.split(".")[0], 0)
        return f"\x1b[{color}m{line}\x1b[0m"


def _about(event: Envelope) -> str:
    data = event.data if isinstance(event.data, dict) else {}
    if event.topic.startswith("tool."):
        return f"{data['name']} for {data['caller']}, {data['duration'] * 1000:.1f} ms"
    for key in ("report", "path", "relative", "profile", "message"):
        if key in data:
            return str(data[key])
    return event.subject


async def demo(folder: Path) -> int:
    """Run the app in *folder* until every document has its report; the exit code."""
    paths = find_paths(folder)
    config, profile, chosen = load_profiled_config(paths)
    timeline = Timeline()
    with StateLock(paths):
        # It is to show the same to everybody: no model is asked, whatever keys there are.
        plugins = [name for name in chosen_plugins(chosen, config) if name not in OFFLINE_WITHOUT]
        runtime = Runtime(paths, config, plugins, profile=profile)
        runtime.host("demo").add_filter(timeline.show, *SHOWN)
        async with runtime:
            for document in DOCUMENTS:
                shutil.copy(ROOT / document, folder / "inbox")
            try:
                async with asyncio.timeout(SECONDS):
                    await timeline.is_complete.wait()
            except TimeoutError:
                print(f"only {timeline.reports} after {SECONDS:g} s", file=sys.stderr)
                return 1
    report = (folder / "inbox" / DOCUMENTS[0]).with_suffix(".report.md").name
    text = (folder / "inbox" / report).read_text("utf-8")
    print(f"\n{'─' * 80}\n{text}{'─' * 80}")
    print(f"\n{len(timeline.reports)} reports, by agents that only know each other's events.")
    print("Next: .venv/bin/loom run sdk/apps/desk, and drop a document of yours into its inbox/.")
    return 0


def main() -> int:
    """Copy the app to a fresh folder, run the demo there, and clean up."""
    with tempfile.TemporaryDirectory(prefix="loom-demo-") as scratch:
        folder = Path(scratch, "desk")
        leftovers = shutil.ignore_patterns(".loom", "__pycache__", "tests")
        shutil.copytree(ROOT / "sdk/apps/desk", folder, ignore=leftovers)
        (folder / "inbox").mkdir(exist_ok=True)
        print("Three agents watch a folder; three documents are dropped into it.\n")
        try:
            return asyncio.run(demo(folder))
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
