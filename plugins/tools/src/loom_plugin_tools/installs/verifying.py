"""Whether installed tools are, byte for byte, what their archives brought."""

from __future__ import annotations

from collections.abc import Iterator

from loom.archives import ArchiveRefused, read_folder

from loom_plugin_tools.installs.apps import App
from loom_plugin_tools.installs.records import Record


def differences(app: App, name: str, record: Record) -> Iterator[str]:
    """What of the tool *name* is not as *record* says, in words. Blocks."""
    try:
        with app.tools() as tools:
            found = read_folder(tools, name)
    except FileNotFoundError:
        yield "its folder is gone"
        return
    except (OSError, ArchiveRefused) as error:
        yield f"its folder cannot be read: {error}"
        return
    known, runs = record.files, set(record.executable)
    for path in sorted({*known, *found.files}):
        if path not in found.files:
            yield f"{path} is gone"
        elif path not in known:
            yield f"{path} is new"
        elif found.files[path].digest != known[path]:
            yield f"{path} has changed"
        elif found.files[path].is_executable != (path in runs):
            yield f"{path} may {'now' if path not in runs else 'no longer'} be run as a program"
    yield from (f"{path} is a link, or no file" for path in found.odd)
