"""What the file tools refuse or fail at. Classes differ by what the caller should do.

    WorkspaceError
    ├── InvalidPath         write the path differently
    │   └── PathEscapes     stay below the workspace
    ├── PathNotFound        look with fs:list_dir what is there
    ├── WrongKind           use the tool for that kind of entry
    ├── DirectoryNotEmpty   delete what is inside first
    ├── FileTooLarge        read or write less
    ├── NotText             the file is not UTF-8 text: use another tool
    ├── OperationDenied     the operating system says no: leave it, or ask the person
    ├── WorkspaceBusy       something renames the folders on the way: try again
    └── WorkspaceGone       the workspace folder itself was removed: restart the plugin

No text names the folder on disk that the workspace stands for: a model reads these texts.
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar

from loom.contracts import ErrorCode
from loom_kernel import LoomError

_SHOWN = 80


def _shown(path: str) -> str:
    return repr(path if len(path) <= _SHOWN else path[: _SHOWN - 1] + "…")


class WorkspaceError(LoomError):
    """A file operation did not happen: no file was changed."""

    code: ClassVar[ErrorCode] = "ACTION_ERROR"

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{_shown(path)} {problem}")


class InvalidPath(WorkspaceError):
    """The path cannot name anything in a workspace."""

    code: ClassVar[ErrorCode] = "INVALID_PARAMS"

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(path, problem)
        # The path is not repeated: a guess at the real folder would read like a confirmation.
        self.args = (
            f"the path {problem}; give names below the workspace, such as 'notes/today.md'",
        )


class PathEscapes(InvalidPath):
    """The path leads, or would lead through a link, out of the workspace."""

    code: ClassVar[ErrorCode] = "PERMISSION_DENIED"


class PathNotFound(WorkspaceError):
    """Nothing has that name."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "does not exist in the workspace")


class WrongKind(WorkspaceError):
    """The entry is of a kind (directory, link, pipe, device…) that this operation does not take."""


class DirectoryNotEmpty(WorkspaceError):
    """Only empty directories are deleted."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "is a directory that is not empty; delete its entries first")


class FileTooLarge(WorkspaceError):
    """The content is over the limit (bytes)."""

    code: ClassVar[ErrorCode] = "INVALID_PARAMS"

    def __init__(self, path: str, limit: int) -> None:
        self.limit = limit
        super().__init__(path, f"is over the limit of {limit} bytes")


class NotText(WorkspaceError):
    """The content is not UTF-8 text."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "is not UTF-8 text")


class OperationDenied(WorkspaceError):
    """The operating system refused."""

    code: ClassVar[ErrorCode] = "PERMISSION_DENIED"


class WorkspaceBusy(WorkspaceError):
    """Folders on the way were renamed faster than they could be followed."""

    def __init__(self, path: str) -> None:
        super().__init__(
            path, "could not be followed because folders on the way keep changing; try again"
        )


class WorkspaceGone(WorkspaceError):
    """The folder that was opened as the workspace has been removed, or the workspace is closed."""

    code: ClassVar[ErrorCode] = "PROVIDER_UNAVAILABLE"

    def __init__(self, path: str) -> None:
        super().__init__(path, "cannot be reached: the workspace folder is gone; start Loom again")


def explain(path: str, error: OSError) -> WorkspaceError:
    """Say what *error* means for an operation on *path*; the error's own text could show paths."""
    code = error.errno or errno.EIO
    if code in _EXPLANATIONS:
        kind, problem = _EXPLANATIONS[code]
        return kind(path, problem)
    if code == errno.ENOENT:
        return PathNotFound(path)
    if code in {errno.ENOTEMPTY, errno.EEXIST}:
        return DirectoryNotEmpty(path)
    if code == errno.EAGAIN:
        return WorkspaceBusy(path)
    return WorkspaceError(path, f"failed: {os.strerror(code)}")


_DENIED = (OperationDenied, "may not be touched: the operating system denies it")
_SPECIAL = (WrongKind, "is not a regular file")

_EXPLANATIONS: dict[int, tuple[type[WorkspaceError], str]] = {
    errno.EXDEV: (PathEscapes, "leads through a link out of the workspace"),
    errno.ELOOP: (PathEscapes, "leads through a link that is not followed here"),
    errno.ENOTDIR: (WrongKind, "is not a directory, or leads through something that is none"),
    errno.EISDIR: (WrongKind, "is a directory, not a file"),
    errno.ENXIO: _SPECIAL,
    errno.ENODEV: _SPECIAL,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: _DENIED,
    errno.ENAMETOOLONG: (InvalidPath, "is too long"),
}
