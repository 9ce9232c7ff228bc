"""Approvals: what a person is shown, what they say, and the capsule that holds both to it.

approval.wanted     an `Approval` waits for a decision; subject = its id
approval.decided    it has been decided, has run out, or was withdrawn
approval.list       request; reply is {"approvals": [Approval, …]}
approval.decide     request with a `Decision`; only those whom the owner named may
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec

ApprovalState = Literal["pending", "approved", "denied", "expired", "withdrawn", "used"]

_encode = msgspec.json.Encoder(order="sorted").encode


def canonical(value: Any) -> bytes:
    """*value* as JSON of which there is only one form: keys sorted, no white space, UTF-8.

    Raises:
        TypeError, ValueError, RecursionError: it has no JSON form.
    """
    return _encode(value)


class Preparation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call would touch, as its provider sees it before it runs."""

    summary: str = ""
    """For people: what will happen, in the provider's own words."""
    cwd: str = ""
    environment: tuple[str, ...] = ()
    """Names of the variables it would be given."""
    files: Mapping[str, str] = {}
    """What it depends on: path → SHA-256 in hex of its content, or `absent`."""


class Capsule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that was approved, and nothing that was not. Its `digest` is what a person approved.

    The executor refuses a call that differs from its capsule in anything: arguments byte for
    byte, tool and version, files, folder, environment, time. One capsule runs once.
    """

    id: str
    """Of the approval."""
    call: str
    """Id of the call."""
    principal: str
    """Who asked."""
    tool: str
    version: str
    owner: str
    """Who provides the tool."""
    definition: str
    """SHA-256 in hex of the tool's descriptor."""
    arguments: str
    """Canonical JSON."""
    preparation: Preparation = Preparation()
    labels: tuple[str, ...] = ()
    """Of the event that caused the call, sorted."""
    reason: str = ""
    timeout: float = 0.0
    """Seconds."""
    expires: float = 0.0
    """UNIX seconds."""
    nonce: str = ""
    """Random: no two capsules are the same."""

    def digest(self) -> str:
        """SHA-256, in hex, over all of it in canonical form."""
        from hashlib import sha256  # it loads OpenSSL, which most processes never need

        return sha256(canonical(self)).hexdigest()

    def problem(
        self, tool: str, version: str, arguments: Any, preparation: Preparation, now: float
    ) -> str:
        """How the call that is about to run differs from this; empty if it does not."""
        if (tool, version) != (self.tool, self.version):
            return f"{self.tool} {self.version} was approved, not {tool} {version}"
        if canonical(arguments).decode() != self.arguments:
            return "the arguments are not those that were approved"
        if now >= self.expires:
            return "the approval has expired"
        if preparation.cwd != self.preparation.cwd:
            return "it would run in another folder than was approved"
        if preparation.environment != self.preparation.environment:
            return "it would be given other variables than were approved"
        if dict(preparation.files) != dict(self.preparation.files):
            changed = set(preparation.files.items()) ^ set(self.preparation.files.items())
            return f"{min(changed)[0]!r} has changed since it was approved"
        if preparation.summary != self.preparation.summary:
            return "it would do something else than was approved"
        return ""


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One question to a person."""

    capsule: Capsule
    digest: str
    """The capsule's; a decision has to repeat it."""
    text: str
    """The whole question, made by the runtime: nothing in it can hide, or move the cursor."""
    why: tuple[str, ...] = ()
    """Why it is asked: which permission was not granted, which rule says so."""
    created: float = 0.0
    """UNIX seconds."""
    state: ApprovalState = "pending"
    decided_by: str = ""
    decided: float = 0.0
    note: str = ""
    """What the person said."""

    @property
    def id(self) -> str:
        """The capsule's."""
        return self.capsule.id


class Decision(msgspec.Struct, frozen=True):
    """What a person said to an approval."""

    id: str
    allow: bool
    digest: str = ""
    """Of what they were shown; empty = whatever waits under that id."""
    note: str = ""
    remember: float = 0.0
    """Seconds for which the same principal need not ask again for this tool; 0 = this once."""
    answer: Mapping[str, Any] = {}
    """What they filled in, where that was asked for."""


class Approvals(Protocol):
    """Asks a person, for plugins whose question is not a tool call; provided by the broker."""

    async def ask(
        self,
        principal: str,
        subject: str,
        details: Mapping[str, Any],
        why: tuple[str, ...] = (),
    ) -> Decision:
        """Ask whether *principal* may have *subject*; *details* (JSON values) are shown whole.

        It is pending until somebody decides or the time that the owner set is over: then, and
        if the asking task is cancelled, nobody has allowed it. Every question is audited.
        """
        ...


class Permits(Protocol):
    """The broker's policy, for plugins that hand out what is no tool call; provided by the broker.

    A subject is judged as a call of a tool of that name would be: grants and rules name it so.
    """

    async def obtain(
        self,
        principal: str,
        subject: str,
        needs: tuple[str, ...],
        details: Mapping[str, Any],
        seconds: float = 0.0,
    ) -> None:
        """Return if *principal* may have *subject*, which takes the permissions *needs*.

        What is being handled counts as the cause, with its labels. Where a person is asked, they
        see *details* (JSON values) whole and have *seconds* (0 = what the owner set). Every
        permit and every refusal is audited.

        Raises:
            ToolError: PERMISSION_DENIED or APPROVAL_DENIED; the message says why.
        """
        ...
