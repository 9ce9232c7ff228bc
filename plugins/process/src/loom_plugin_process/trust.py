"""What was looked at and trusted of a program, and what is different now (`tools.lock`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from loom.pins import Pins, fingerprint
from loom_kernel import Paths

from loom_plugin_process.program import Located, Program, base_of, locate

KIND = "process"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
"""What belongs to the system, whose owner keeps it: it is pinned by name only."""
LISTS = {
    "read": "read",
    "write": "write",
    "permissions": "have tools that need",
    "subscribe": "receive events of",
    "publish": "publish to",
}


class Inspection(NamedTuple):
    """A look at a program: where its parts are, what would be pinned, and what is different."""

    located: Located
    found: dict[str, Any]
    changes: list[str]


def inspect(name: str, program: Program, paths: Paths) -> Inspection:
    """Look at *program*, and at what was trusted under *name*. Blocks.

    Raises:
        LoomError, OSError: something that it needs is not there, or cannot be read.
    """
    located = locate(program, paths)
    found = record_of(program, located, paths)
    return Inspection(located, found, differences(Pins(paths, KIND).get(name), found))


def trust(name: str, found: Mapping[str, Any], paths: Paths) -> None:
    """Pin *found*: from now on exactly that may run. Blocks."""
    Pins(paths, KIND).put(name, found)


def record_of(program: Program, located: Located, paths: Paths) -> dict[str, Any]:
    """What runs, and with which rights, as it is pinned. Blocks: it reads the files.

    Raises:
        OSError: a file cannot be read.
    """
    lists = {key: sorted(getattr(program, key)) for key in LISTS}
    return {
        "command": list(program.command),
        "cwd": program.cwd,
        "files": dict(_digests(program, located, base_of(paths))),
        "env": {name: fingerprint(value) for name, value in program.env.items()},
        "network": program.network,
        **lists,
    }


def _digests(program: Program, located: Located, base: Path) -> Iterator[tuple[str, str]]:
    for place, file in enumerate(map(Path, located.files)):
        real = file.resolve()
        if any(real.is_relative_to(place) for place in SYSTEM):
            continue
        shown = str(file.relative_to(base) if file.is_relative_to(base) else file)
        if place == 0:
            shown = program.command[0]  # where it was found is another place on each machine
        with real.open("rb") as content:
            digest = sha256()
            while block := content.read(1 << 20):
                digest.update(block)
        yield shown, digest.hexdigest()


def differences(trusted: Mapping[str, Any] | None, found: Mapping[str, Any]) -> list[str]:
    """What *found* is or may that *trusted* is not or may not, in words; empty = the same."""
    if trusted is None:
        return ["nobody has trusted it yet", *_all_of(found)]
    if dict(trusted) == dict(found):
        return []
    return [*_changes(trusted, found), *_new_rights(trusted, found)] or [
        "it may do less than it did"
    ]


def _all_of(found: Mapping[str, Any]) -> Iterator[str]:
    yield from _new_rights({}, found)


def _changes(trusted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for key in ("command", "cwd"):
        if trusted.get(key) != found[key]:
            yield f"{key} was {trusted.get(key)!r}, is {found[key]!r}"
    for key, what in (("files", "the file"), ("env", "the variable")):
        before, now = trusted.get(key, {}), found[key]
        for name in sorted({*before, *now}):
            if name not in now:
                yield f"{what} {name} is gone"
            elif before.get(name) != now[name]:
                yield f"{what} {name} {'has changed' if name in before else 'is new'}"


def _new_rights(trusted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    if found["network"] and not trusted.get("network"):
        yield "it newly may use the network"
    for key, verb in LISTS.items():
        for one in found[key]:
            if one not in trusted.get(key, ()):
                yield f"it newly may {verb} {one}"
