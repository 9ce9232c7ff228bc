"""What a module asks for, what it was granted, and what its imports show that it needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from loom_plugin_wasm.settings import Table

COMPONENT_HOST = "loom:tool/host@0.1.0"
_OWN = ("extism:host/user", "loom", COMPONENT_HOST)
"""Where guests find the functions of the host, by the kind of module."""
_HTTP = "extism:host/env::http_"


class Access(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rights of a module."""

    functions: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    """Nobody can grant these: the engine follows redirects to any other host."""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Table) -> Access:
        """What *table* grants."""
        return cls(functions=table.functions, read=table.read, write=table.write)

    @property
    def permissions(self) -> tuple[str, ...]:
        """The broker's words for it."""
        words = (("fs.read", self.read), ("fs.write", self.write))
        return tuple(word for word, given in words if given)

    def sentence(self) -> str:
        """What a module with these rights can reach, for people."""
        reads = ", ".join(self.read) or "no folder"
        writes = ", ".join(self.write) or "no folder"
        return f"it may read {reads}, write {writes}, and has no network"

    def words(self) -> list[str]:
        """Every single right, for people and for comparing: `net api.example.com`, `log`."""
        groups = (("net", self.hosts), ("read", self.read), ("write", self.write))
        named = [f"{kind} {right}" for kind, rights in groups for right in rights]
        return sorted([*self.functions, *named])

    def missing(self, granted: Access) -> list[str]:
        """The rights in it that are not among *granted*."""
        return sorted(set(self.words()) - set(granted.words()))


def refused_imports(imports: Iterable[str], granted: Access) -> list[str]:
    """Those of *imports* (`module::name`) that nothing in *granted* covers."""
    return [name for name in imports if not _is_granted(name, granted)]


def _is_granted(name: str, granted: Access) -> bool:
    module, _, function = name.partition("::")
    if module in _OWN:
        return function in granted.functions and function != "wasi"
    if module == "wasi_snapshot_preview1" or module.startswith("wasi:"):
        return "wasi" in granted.functions or bool(granted.read or granted.write)
    return module == "extism:host/env" and not name.startswith(_HTTP)
