"""Which tools there are, in which versions, and who answers for them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from loom.contracts import ToolDescriptor, ToolError


class Registry:
    """Descriptors by name and version. A provider that announces again replaces its own."""

    def __init__(self) -> None:
        self._tools: dict[str, dict[str, ToolDescriptor]] = {}
        self.generation = 0
        """Rises with every change."""

    def add(self, descriptor: ToolDescriptor) -> None:
        """Take *descriptor* in.

        Raises:
            ToolError: CAPABILITY_ERROR, another provider holds that name and version.
        """
        versions = self._tools.setdefault(descriptor.name, {})
        holder = versions.get(descriptor.version)
        if holder is not None and holder.owner != descriptor.owner:
            raise ToolError(
                descriptor.name,
                "CAPABILITY_ERROR",
                f"version {descriptor.version} is provided by {holder.owner!r} already; "
                f"{descriptor.owner!r} needs another name or version",
            )
        versions[descriptor.version] = descriptor
        self.generation += 1

    def keep(self, owner: str, offered: Collection[tuple[str, str]]) -> None:
        """Forget *owner*'s tools other than those *offered* (names and versions)."""
        for name, versions in list(self._tools.items()):
            for version, found in list(versions.items()):
                if found.owner == owner and (name, version) not in offered:
                    del versions[version]
                    self.generation += 1
            if not versions:
                del self._tools[name]

    def remove(self, owner: str, names: Iterable[str]) -> None:
        """Forget *owner*'s tools of these names."""
        self.generation += 1
        for name in names:
            versions = self._tools.get(name, {})
            kept = {v: found for v, found in versions.items() if found.owner != owner}
            if kept:
                self._tools[name] = kept
            else:
                self._tools.pop(name, None)

    def list(self, name: str = "", provider: str = "") -> list[ToolDescriptor]:
        """All that fit, by name and then from the highest version down."""
        return [
            found
            for known in sorted(self._tools)
            if name in ("", known)
            for found in sorted(self._tools[known].values(), key=_rank, reverse=True)
            if provider in ("", found.provider)
        ]

    def resolve(self, name: str, version: str = "") -> ToolDescriptor:
        """The highest version that begins with *version* (whole numbers: `1` takes 1.10, not 10).

        Raises:
            ToolError: CAPABILITY_ERROR, there is none; the message says what there is.
        """
        candidates = self.list(name)
        if not candidates:
            near = difflib.get_close_matches(name, list(self._tools), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ToolError(name, "CAPABILITY_ERROR", f"there is no tool {name!r}{hint}")
        wanted = version.split(".") if version else []
        for found in candidates:
            if found.version.split(".")[: len(wanted)] == wanted:
                return found
        known = ", ".join(found.version for found in candidates)
        raise ToolError(name, "CAPABILITY_ERROR", f"no version {version!r}; there is {known}")


def _rank(descriptor: ToolDescriptor) -> tuple[tuple[int, str], ...]:
    """Versions in order: 1.9 < 1.10; what is no number comes before numbers."""
    return tuple(
        (int(part), "") if part.isdecimal() else (-1, part)
        for part in descriptor.version.split(".")
    )
