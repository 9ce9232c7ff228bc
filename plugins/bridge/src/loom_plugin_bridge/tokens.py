"""Tokens: who may come in. Only their hashes are kept, in one private file."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from loom.bridge import Refused
from loom_kernel import LoomError, private_dir

from loom_plugin_bridge.access import Grant

FILE = "tokens.json"
PREFIX = "loom"
LOCAL = Grant(id="local", name="local")


class Tokens:
    """The tokens of one instance: those in the file, the owner's, and those of child processes.

    Any process of the owner may change the file; a running bridge notices.
    """

    def __init__(self, folder: Path, now: Callable[[], float]) -> None:
        self._folder = folder
        self._file = folder / FILE
        self._now = now
        self._stamp = (0, 0)
        self._grants: dict[str, Grant] = {}
        self._issued: dict[str, Grant] = {}
        self._local = ""

    # -- what the bridge asks ----------------------------------------------------------------

    def find(self, token: str) -> Grant:
        """Who holds *token*.

        Raises:
            Refused: UNAUTHENTICATED; the text says whether it is missing, wrong or expired.
        """
        if not token:
            raise Refused("UNAUTHENTICATED", "a token is needed: `loom token create NAME`")
        if self._local and hmac.compare_digest(token.encode(), self._local.encode()):
            return LOCAL
        self._refresh()
        prefix, _, rest = token.partition("_")
        id, _, secret = rest.partition("_")
        grant = (self._issued.get(id) or self._grants.get(id)) if prefix == PREFIX else None
        known = grant.hash if grant else hash_of("")
        if not hmac.compare_digest(known, hash_of(secret)) or grant is None:
            raise Refused("UNAUTHENTICATED", "this token is wrong, or was revoked")
        if grant.expires and grant.expires <= self._now():
            raise Refused("UNAUTHENTICATED", f"token {grant.name!r} has expired")
        return grant

    def is_valid(self, grant: Grant) -> bool:
        """Whether *grant*, found earlier, still stands."""
        self._refresh()
        known = LOCAL if grant.id == LOCAL.id else self._issued.get(grant.id)
        known = known or self._grants.get(grant.id)
        return known == grant and not (grant.expires and grant.expires <= self._now())

    def issue(self, grant: Grant) -> str:
        """A token for *grant* that lives as long as this object."""
        return self._make(grant, self._issued)

    def withdraw(self, name: str) -> None:
        """Undo `issue` for all tokens of that name."""
        self._issued = {id: known for id, known in self._issued.items() if known.name != name}

    def open_local(self, path: Path) -> None:
        """Let the owner of the folder in with the token that the private file *path* holds."""
        private_dir(path.parent)
        try:
            self._local = path.read_text("ascii").strip()
        except FileNotFoundError:
            self._local = f"{PREFIX}_local_{secrets.token_hex(32)}"
            _write(path, self._local.encode() + b"\n")

    # -- what the owner does -----------------------------------------------------------------

    def create(self, grant: Grant) -> str:
        """Write *grant* (its `id` and `hash` are made here) into the file; the token.

        Raises:
            LoomError: there is a token of that name.
        """
        with self._changing():
            if any(known.name == grant.name for known in self._grants.values()):
                raise LoomError(f"there is a token {grant.name!r} already; revoke it first")
            return self._make(grant, self._grants)

    def revoke(self, name: str) -> Grant:
        """Strike the token of that name (or id) from the file.

        Raises:
            LoomError: there is none.
        """
        with self._changing():
            for id, known in self._grants.items():
                if name in (id, known.name):
                    return self._grants.pop(id)
            names = ", ".join(sorted(known.name for known in self._grants.values())) or "none"
            raise LoomError(f"there is no token {name!r}; there are: {names}")

    def list(self) -> list[Grant]:
        """All that are in the file, by name."""
        self._refresh()
        return sorted(self._grants.values(), key=lambda grant: grant.name)

    # -- the file ----------------------------------------------------------------------------

    def _make(self, grant: Grant, known: dict[str, Grant]) -> str:
        id, secret = secrets.token_hex(4), secrets.token_hex(32)
        made = msgspec.structs.replace(grant, id=id, hash=hash_of(secret), created=self._now())
        known[id] = made
        return f"{PREFIX}_{id}_{secret}"

    def _refresh(self) -> None:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            self._grants, self._stamp = {}, (0, 0)
            return
        stamp = found.st_mtime_ns, found.st_ino
        if stamp == self._stamp:
            return
        try:
            grants = msgspec.json.decode(self._file.read_bytes(), type=list[Grant])
        except (OSError, msgspec.DecodeError) as error:
            raise LoomError(f"{self._file} cannot be read: {error}") from error
        self._grants, self._stamp = {grant.id: grant for grant in grants}, stamp

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the file for oneself, read it, and write back what was changed."""
        private_dir(self._folder)
        with (self._folder / f"{FILE}.lock").open("w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._refresh()
            yield
            _write(self._file, msgspec.json.encode(list(self._grants.values())))
            self._stamp = (0, 0)


def hash_of(secret: str) -> str:
    """SHA-256 in hex; secrets are 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Put *content* in the place of *path*, for the owner only, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
