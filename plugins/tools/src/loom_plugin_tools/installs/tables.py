"""The table of one tool in loom.toml: all else in the file stays, comments too."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from loom_kernel import LoomError


def read_tables(text: str) -> dict[str, Any]:
    """What loom.toml says.

    Raises:
        LoomError: it is no TOML.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise LoomError(f"loom.toml cannot be read: {error}") from None


def table_of(values: Mapping[str, Any], kind: str, name: str) -> dict[str, Any] | None:
    """The table `[kind.name]`, if there is one."""
    section = values.get(kind, {})
    found = section.get(name) if isinstance(section, dict) else None
    return found if isinstance(found, dict) else None


def with_table(text: str, kind: str, name: str, table: Mapping[str, Any] | None) -> str:
    """*text* with *table* as `[kind.name]`, or without that if it is None.

    Raises:
        LoomError: it cannot be done without changing something else; the message says what to do.
    """
    import tomlkit

    wanted = read_tables(text)
    _put(wanted, kind, name, table)
    document = tomlkit.parse(text)
    _put_kept(document, kind, name, table)
    changed = tomlkit.dumps(document)
    if table is None and not text.endswith("\n\n"):
        changed = changed.rstrip("\n") + "\n"  # the empty line that stood before the table
    if _without_empty(read_tables(changed), kind) != _without_empty(wanted, kind):
        what = "remove" if table is None else "write"
        raise LoomError(
            f"loom.toml has [{kind}] in a form that cannot be changed safely; {what} "
            f"[{kind}.{name}] yourself, then try again"
        )
    return changed


def _put(values: dict[str, Any], kind: str, name: str, table: Mapping[str, Any] | None) -> None:
    section = values.setdefault(kind, {})
    if not isinstance(section, dict):
        raise LoomError(f"loom.toml says that {kind!r} is {section!r}, which is no table")
    section.pop(name, None)
    if table is not None:
        section[name] = dict(table)


def _put_kept(document: Any, kind: str, name: str, table: Mapping[str, Any] | None) -> None:
    import tomlkit

    if table is None:
        if name in document.get(kind, {}):
            del document[kind][name]
            if not document[kind]:
                del document[kind]
        return
    if kind not in document:
        document[kind] = tomlkit.table(is_super_table=True)
    document[kind][name] = _kept(table)


def _kept(table: Mapping[str, Any]) -> Any:
    """*table* as it is written: tables in it get headers of their own, below its values."""
    import tomlkit

    made = tomlkit.table()
    for key, value in sorted(table.items(), key=lambda item: _has_header(item[1])):
        made[key] = value
    return made


def _has_header(value: Any) -> bool:
    """Whether *value* is written below a header of its own: a table, or a list of tables."""
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
    )


def _without_empty(values: dict[str, Any], kind: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != kind or value}
