"""What `[plugins.files]` in loom.toml may hold."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
from loom_kernel import ConfigError

from loom_plugin_files.selection import Selection

_NAME = re.compile(r"[\w+/:-]+", re.ASCII)


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One watched folder: `[plugins.files.watch.<name>]`."""

    path: str
    """The folder; relative to the project folder, `~` is the home folder."""
    patterns: tuple[str, ...] = ("*",)
    """Files that are reported: a pattern without `/` is about the name, else about the path."""
    ignore: tuple[str, ...] = (".git",)
    """Files and folders that are not looked at, in the same form as `patterns`."""
    recursive: bool = True
    """Whether folders inside the folder are watched too."""
    settle: float | None = None
    """Seconds this folder's files must be quiet; the plugin's `settle` where it is not given."""

    def __post_init__(self) -> None:
        if self.settle is not None and self.settle < 0:
            raise ValueError("settle must not be below 0")
        try:
            Selection(self.patterns, self.ignore)
        except re.error as error:
            raise ValueError(f"{error.pattern!r} is no pattern: {error}") from error


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[plugins.files]`."""

    settle: float = 0.25
    """Seconds a file must be quiet before it is reported."""
    capacity: int = 10_000
    """Hints of the operating system that may wait; when there are more, the folder is rescanned."""
    recheck: float = 1.0
    """Seconds between looks whether each folder is still there."""
    watch: dict[str, WatchSettings] = {}

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.recheck <= 0 or self.settle < 0:
            raise ValueError("capacity and recheck must be above 0, settle not below")
        for name in self.watch:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"the watch {name!r} cannot become part of a topic; "
                    "use letters, digits and + / : - _"
                )


def locate(name: str, path: str, project: Path | None) -> Path:
    """Return the absolute folder that *path* means for the watch *name*.

    Raises:
        ConfigError: the path is relative and there is no project folder.
    """
    folder = Path(path).expanduser()
    if folder.is_absolute():
        return folder
    if project is None:
        raise ConfigError(
            f"plugins.files.watch.{name}: path {path!r} is relative, "
            "and Loom was not started for a project folder; give it from the root"
        )
    return project / folder
