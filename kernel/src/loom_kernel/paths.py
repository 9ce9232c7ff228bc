"""Where Loom keeps its files, by the XDG base directory specification."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from loom_kernel.errors import ConfigError


class Paths(msgspec.Struct, frozen=True):
    """The folders of one instance. `state` is what makes it the one it is."""

    config: Path
    state: Path
    cache: Path
    project: Path | None = None
    """The folder of the app that runs, with its `loom.toml`."""

    @property
    def socket(self) -> Path:
        """Where the running instance listens for its owner's commands."""
        return self.state / "control.sock"

    def of(self, plugin: str) -> Paths:
        """The same, with a state and a cache folder of its own for *plugin*."""
        return msgspec.structs.replace(
            self, state=self.state / "plugins" / plugin, cache=self.cache / plugin
        )


def find_paths(project: Path | None = None, state: Path | None = None) -> Paths:
    """The folders for *project* (its state lives in `<project>/.loom`), or for the user.

    *state* or `LOOM_STATE_DIR` names another state folder.
    """
    named = state or os.environ.get("LOOM_STATE_DIR", "")
    chosen = Path(named).expanduser() if named else None
    own = project / ".loom" if project else _xdg("XDG_STATE_HOME", ".local/state")
    return Paths(
        config=_xdg("XDG_CONFIG_HOME", ".config"),
        state=(chosen or own).absolute(),
        cache=_xdg("XDG_CACHE_HOME", ".cache"),
        project=project.absolute() if project else None,
    )


def private_dir(path: Path) -> Path:
    """Make *path* if need be, for its owner only (0700), and return it.

    Raises:
        ConfigError: it belongs to somebody else, or others may write to it.
    """
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)  # of its own: `parents` would use the umask
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"cannot use {path}: {error.strerror}; name another folder") from error
    if found.st_uid != os.getuid():
        raise ConfigError(f"{path} belongs to user {found.st_uid}; use a folder of your own")
    if stat.S_IMODE(found.st_mode) & 0o022:
        is_shared = found.st_mode & stat.S_ISVTX  # like /tmp: not to be taken from the others
        remedy = "name a folder that is yours alone" if is_shared else f"run: chmod 700 {path}"
        raise ConfigError(f"others may write to {path}; {remedy}")
    return path


def _xdg(variable: str, default: str) -> Path:
    base = Path(os.environ.get(variable, ""))
    return (base if base.is_absolute() else Path.home() / default) / "loom"
