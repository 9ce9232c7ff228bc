"""Changing an app's tools so that it is, whatever happens, as it was or as it shall be.

Three things change together: the tool's folder, loom.toml and tools.lock. All that is needed to
put them back lies in one folder beside them, with a journal, before the first of them changes;
removing the journal is what makes the change done. What is killed before that is undone by the
next command; in between nothing of the tool runs that was not trusted as it is.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from loom.archives import Archive, write_folder
from loom.pins import Pins, fingerprint
from loom_kernel import LoomError

from loom_plugin_tools.installs.apps import CONFIG, FILE, FOLDER, TOOLS, App, Config, is_there
from loom_plugin_tools.installs.records import check_tool_name

WORK = ".install"
_JOURNAL = "journal.json"
_NEW, _OLD, _DISCARDED = "new", "old", "discarded"
_BEFORE, _AFTER = "before.toml", "after.toml"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be different."""

    name: str
    archive: Archive | None
    """What its folder shall hold; None removes it."""
    config: bytes
    """loom.toml as it shall be."""
    seen: Config
    """loom.toml as it was when `config` was made of it."""
    records: Mapping[str, Mapping[str, Any] | None]
    """What tools.lock shall hold under `name`, by kind."""


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """What was there before."""

    name: str
    had_folder: bool
    brings_folder: bool
    after: str
    """The fingerprint of loom.toml as it shall be."""
    records: dict[str, dict[str, Any] | None]


def perform(app: App, change: Change) -> None:
    """Make *change*; on any failure everything is as before. Blocks.

    Raises:
        OSError, LoomError: it failed, and nothing is different.
    """
    with app.tools(make=True) as tools:
        try:
            os.mkdir(WORK, 0o700, dir_fd=tools)
            work = os.open(WORK, FOLDER, dir_fd=tools)
            try:
                os.fchmod(work, 0o700)  # whatever the umask
                _prepare(app, tools, work, change)
                _apply(app, tools, work, change)
                os.unlink(_JOURNAL, dir_fd=work)
                os.fsync(work)
            finally:
                os.close(work)
        except BaseException:
            _undo(app, tools)
            _remove_if_empty(app)
            raise
        shutil.rmtree(WORK, ignore_errors=True, dir_fd=tools)
    _remove_if_empty(app)


def recover(app: App) -> str:
    """Undo what a killed command began: the tool's name, or nothing if none did. Blocks."""
    if not is_there(TOOLS, app.handle):
        return ""
    with app.tools() as tools:
        name = _undo(app, tools)
    _remove_if_empty(app)  # it may have been killed as it had just made, or emptied, the folder
    return name


# --- forth -----------------------------------------------------------------------------------


def _prepare(app: App, tools: int, work: int, change: Change) -> None:
    if change.archive is not None:
        write_folder(work, _NEW, change.archive)
    _write(work, _BEFORE, change.seen.content, change.seen.mode)
    _write(work, _AFTER, change.config, change.seen.mode)
    journal = Journal(
        name=change.name,
        had_folder=is_there(change.name, tools),
        brings_folder=change.archive is not None,
        after=fingerprint(change.config),
        records={kind: Pins(app.paths, kind).get(change.name) for kind in change.records},
    )
    _write(work, f"{_JOURNAL}.draft", msgspec.json.encode(journal), 0o600)
    os.rename(f"{_JOURNAL}.draft", _JOURNAL, src_dir_fd=work, dst_dir_fd=work)
    os.fsync(work)
    os.fsync(tools)


def _apply(app: App, tools: int, work: int, change: Change) -> None:
    for kind, record in change.records.items():
        if record is None:  # trust ends before what was trusted is another
            Pins(app.paths, kind).put(change.name, None)
    if is_there(change.name, tools):
        os.rename(change.name, _OLD, src_dir_fd=tools, dst_dir_fd=work)
    if change.archive is not None:
        os.rename(_NEW, change.name, src_dir_fd=work, dst_dir_fd=tools)
    if app.read_config() != change.seen:
        raise LoomError(f"{app.folder / CONFIG} was changed meanwhile; try again")
    if change.config != change.seen.content:
        os.replace(_AFTER, CONFIG, src_dir_fd=work, dst_dir_fd=app.handle)
    for kind, record in change.records.items():
        if record is not None:
            Pins(app.paths, kind).put(change.name, record)
    os.fsync(tools)
    os.fsync(app.handle)


def _write(folder: int, name: str, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


# --- and back: each step may have been done, or undone, already ------------------------------


def _undo(app: App, tools: int) -> str:
    if not is_there(WORK, tools):
        return ""
    work = os.open(WORK, FOLDER, dir_fd=tools)
    try:
        _check_own(app, work)
        name = _roll_back(app, tools, work)
    finally:
        os.close(work)
    shutil.rmtree(WORK, dir_fd=tools)
    return name


def _check_own(app: App, work: int) -> None:
    """Obey no journal that came with an app: only a folder that is private can be from here."""
    found = os.fstat(work)
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        place = app.folder / TOOLS / WORK
        raise LoomError(f"{place} is not private, so no command left it; look at it and remove it")


def _roll_back(app: App, tools: int, work: int) -> str:
    try:
        descriptor = os.open(_JOURNAL, FILE, dir_fd=work)
    except FileNotFoundError:
        return ""  # nothing was different yet, or all of it was done
    with os.fdopen(descriptor, "rb") as file:
        journal = _read_journal(file.read())
    _restore_folder(journal, tools, work)
    if is_there(_BEFORE, work) and fingerprint(app.read_config().content) == journal.after:
        os.replace(_BEFORE, CONFIG, src_dir_fd=work, dst_dir_fd=app.handle)
    for kind, record in journal.records.items():
        Pins(app.paths, kind).put(journal.name, record)
    os.fsync(tools)
    os.fsync(app.handle)
    os.unlink(_JOURNAL, dir_fd=work)
    return journal.name


def _read_journal(content: bytes) -> Journal:
    try:
        journal = msgspec.json.decode(content, type=Journal)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LoomError(f"{TOOLS}/{WORK}/{_JOURNAL} cannot be read: {error}") from None
    check_tool_name(journal.name)
    return journal


def _restore_folder(journal: Journal, tools: int, work: int) -> None:
    is_brought = journal.brings_folder and not is_there(_NEW, work)
    is_moved = journal.had_folder and is_there(_OLD, work)
    if is_there(journal.name, tools) and (is_moved or (is_brought and not journal.had_folder)):
        shutil.rmtree(_DISCARDED, ignore_errors=True, dir_fd=work)
        os.rename(journal.name, _DISCARDED, src_dir_fd=tools, dst_dir_fd=work)
    if is_moved:
        os.rename(_OLD, journal.name, src_dir_fd=work, dst_dir_fd=tools)


def _remove_if_empty(app: App) -> None:
    with suppress(OSError):  # it holds something
        os.rmdir(TOOLS, dir_fd=app.handle)
