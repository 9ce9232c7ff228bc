"""Why an archive is not taken."""

from __future__ import annotations

from loom_kernel import LoomError


class ArchiveRefused(LoomError):
    """An archive, or a folder that shall become one, is not what Loom takes: get another one."""

    def __init__(self, problem: str, entry: str = "", archive: str = "the archive") -> None:
        self.problem = problem
        self.entry = entry
        self.archive = archive
        where = f"its entry {entry!r}: " if entry else ""
        super().__init__(f"{archive} is refused, nothing was changed: {where}{problem}")

    def of(self, archive: str) -> ArchiveRefused:
        """The same refusal, of the archive with that name."""
        return ArchiveRefused(self.problem, self.entry, archive)
