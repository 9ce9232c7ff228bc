"""The desk: where questions wait until a person has decided, also across restarts.

A question is a file of its own, sealed with a key of this instance. What was decided is on disk
before it has an effect, so that an approval is used once, whatever is killed in between.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from loom.contracts import (
    Approval,
    Capsule,
    Decision,
    ToolDescriptor,
    ToolError,
    canonical,
    steady,
)
from loom_kernel import Host, LoomError

from loom_plugin_tools.storage import read_file, write_file
from loom_plugin_tools.wording import question

LONGEST = 64 << 10
"""Bytes of arguments that a person can be asked about."""
MINUTE = 60.0
KEPT = 3600.0
"""Seconds after its end for which a decided question is kept, so that it cannot come again."""


class Sealed(msgspec.Struct, frozen=True):
    """A question as it lies in its file."""

    approval: msgspec.Raw
    seal: str
    """HMAC-SHA-256, in hex, of the approval's bytes."""


class Desk:
    """Keeps questions, asks them, and takes decisions.

    *prompts* is how many questions a minute one principal may cause: more would only teach
    people to say yes. *record* is the audit's.
    """

    def __init__(
        self,
        host: Host,
        record: Callable[..., None],
        *,
        timeout: float,
        prompts: int,
        resume: Callable[[Approval], Awaitable[Any]],
    ) -> None:
        self._host = host
        self._folder = host.paths.state / "approvals"
        self._record = record
        self.timeout = timeout
        """Seconds that a question waits, if who asks does not say."""
        self._prompts = prompts
        self._resume = resume
        self._key = _key(host.paths.state / "approvals.key")
        self._known: dict[str, Approval] = {}
        self._waiting: dict[str, asyncio.Future[Decision]] = {}
        self._asked: dict[str, deque[float]] = {}
        self._writing = asyncio.Lock()

    def load(self) -> None:
        """Read what waited when the runtime ended. Blocks."""
        now = steady(self._host.clock)
        for path in sorted(self._folder.glob("*.json")):
            approval = self._read(path)
            if approval is None:
                continue
            if approval.capsule.expires + KEPT <= now:
                path.unlink(missing_ok=True)
                continue
            if approval.state == "pending" and not approval.capsule.owner:
                approval = msgspec.structs.replace(approval, state="withdrawn")
            self._known[approval.id] = approval

    def _read(self, path: Path) -> Approval | None:
        """The question in *path*, if it is the one that this Loom wrote there."""
        try:
            sealed = read_file(path, Sealed)
            approval = self._opened(sealed) if sealed is not None else None
            if approval is not None and approval.id == path.stem:
                return approval
            problem = "it is not as it was written"
        except LoomError as error:
            problem = str(error)
        self._host.log.error("question %s is not used: %s", path.name, problem)
        self._record("approval.refused", "unknown", path.stem, reason=problem)
        path.rename(path.with_suffix(".broken"))
        return None

    def _opened(self, sealed: Sealed) -> Approval | None:
        """What *sealed* holds, if this Loom put it there and the capsule in it is whole."""
        text = bytes(sealed.approval)
        if not hmac.compare_digest(sealed.seal.encode(), self._seal(text).encode()):
            return None
        approval = msgspec.json.decode(text, type=Approval)
        return approval if approval.digest == approval.capsule.digest() else None

    def pending(self) -> list[Approval]:
        """What waits for a decision, the oldest first."""
        now = steady(self._host.clock)
        waiting = (a for a in self._known.values() if a.state == "pending")
        return sorted((a for a in waiting if a.capsule.expires > now), key=lambda a: a.created)

    # -- asking ------------------------------------------------------------------------------

    async def obtain(
        self, tool: ToolDescriptor, capsule: Capsule, why: tuple[str, ...], seconds: float
    ) -> Decision:
        """Ask about *capsule*, and wait up to *seconds*; the person's yes.

        Raises:
            ToolError: APPROVAL_DENIED; nobody has allowed it.
        """
        self._check(tool.name, capsule)
        approval = Approval(
            capsule=capsule, digest=capsule.digest(), text=question(tool, capsule, why), why=why,
            created=self._host.clock.time(),
        )  # fmt: skip
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self._waiting[approval.id] = decided
        try:
            await self._save(approval)
            self._note("approval.wanted", approval, capsule.principal)
            await self._host.publish("approval.wanted", approval, subject=approval.id)
            async with asyncio.timeout(seconds):
                decision = await decided
        except TimeoutError:
            await self._close(approval, "expired")
            text = f"nobody decided within {seconds:g} s; see `loom approve`"
            raise ToolError(tool.name, "APPROVAL_DENIED", text, {"id": approval.id}) from None
        except asyncio.CancelledError:
            # In a task of its own: a halt cancels who waits a second time, and it has to be told.
            closing = self._host.spawn(self._close(approval, "withdrawn"), f"close/{approval.id}")
            await asyncio.shield(closing)
            raise
        finally:
            self._waiting.pop(approval.id, None)
        if not decision.allow:
            note = f": {decision.note}" if decision.note else ""
            text = f"a person said no{note}"
            raise ToolError(tool.name, "APPROVAL_DENIED", text, {"id": approval.id})
        return decision

    async def ask(
        self,
        principal: str,
        subject: str,
        details: Mapping[str, Any],
        why: tuple[str, ...] = (),
    ) -> Decision:
        """See `loom.contracts.Approvals`."""
        tool = ToolDescriptor(subject, "", {}, provider="question")
        capsule = self.capsule(principal=principal, tool=subject, arguments=details)
        try:
            return await self.obtain(tool, capsule, why, self.timeout)
        except ToolError as error:
            return Decision(capsule.id, allow=False, note=error.message)

    def capsule(self, *, arguments: Any, **fields: Any) -> Capsule:
        """A capsule of *arguments* and *fields* with a new id, nonce and end."""
        return Capsule(
            **{"call": "", "version": "", "owner": "", "definition": "", **fields},
            id=secrets.token_hex(4), nonce=secrets.token_hex(16),
            arguments=canonical(arguments).decode(),
            expires=steady(self._host.clock) + self.timeout,
        )  # fmt: skip

    def _check(self, tool: str, capsule: Capsule) -> None:
        """Whether a person can be asked at all."""
        size = len(capsule.arguments.encode())
        if size > LONGEST:
            text = f"{size} bytes of arguments are more than a person can be asked about"
            raise ToolError(tool, "APPROVAL_DENIED", f"{text} (at most {LONGEST})")
        now = self._host.clock.monotonic()
        asked = self._asked.setdefault(capsule.principal, deque())
        while asked and now - asked[0] >= MINUTE:
            asked.popleft()
        if len(asked) >= self._prompts:
            text = f"{capsule.principal} has asked {self._prompts} times within a minute; wait"
            raise ToolError(tool, "APPROVAL_DENIED", text)
        asked.append(now)

    # -- deciding ----------------------------------------------------------------------------

    async def decide(self, decision: Decision, by: str) -> Any:
        """Take the decision of *by*; what came of it, if nobody else waits for that.

        Raises:
            LoomError: there is no such question any more, or it is not the one that was shown.
        """
        approval = self._known.get(decision.id)
        if approval is None or approval.state != "pending":
            state = f"was {approval.state} before" if approval else "does not exist"
            raise LoomError(f"question {decision.id!r} {state}; see `loom approve`")
        if approval.capsule.expires <= steady(self._host.clock):
            await self._close(approval, "expired")
            raise LoomError(f"question {decision.id!r} has expired; let it be asked again")
        if decision.digest and not hmac.compare_digest(decision.digest, approval.digest):
            raise LoomError(f"question {decision.id!r} is not the one that you were shown")
        state = "used" if decision.allow else "denied"
        changed = msgspec.structs.replace(
            approval, state=state, decided_by=by, decided=self._host.clock.time(),
            note=decision.note,
        )  # fmt: skip
        await self._save(changed)
        self._note("approval.allowed" if decision.allow else "approval.denied", changed, by)
        await self._host.publish("approval.decided", changed, subject=changed.id)
        waiting = self._waiting.get(decision.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(decision)
        elif decision.allow and changed.capsule.owner:
            return await self._resume(changed)
        return None

    def withdraw_all(self, reason: str) -> None:
        """Say no to all that waits."""
        for id, waiting in list(self._waiting.items()):
            if not waiting.done():
                waiting.set_result(Decision(id, allow=False, note=reason))
        for approval in self.pending():
            self._host.spawn(self._close(approval, "withdrawn"), f"withdraw/{approval.id}")

    # -- keeping -----------------------------------------------------------------------------

    async def _close(self, approval: Approval, state: str) -> None:
        current = self._known.get(approval.id, approval)
        if current.state != "pending":
            return
        closed = msgspec.structs.replace(current, state=state)
        await self._save(closed)
        self._note(f"approval.{state}", closed, "loom")
        await self._host.publish("approval.decided", closed, subject=closed.id)

    async def _save(self, approval: Approval) -> None:
        """Put it on the disk. A question is known from then on; what became of it, from now on."""
        if approval.state != "pending":
            self._known[approval.id] = approval
        text = canonical(approval)
        sealed = Sealed(msgspec.Raw(text), self._seal(text))
        async with self._writing:
            await asyncio.to_thread(write_file, self._folder / f"{approval.id}.json", sealed)
        self._known.setdefault(approval.id, approval)

    def _seal(self, text: bytes) -> str:
        return hmac.new(self._key, text, "sha256").hexdigest()

    def _note(self, event: str, approval: Approval, who: str) -> None:
        capsule = approval.capsule
        self._record(
            event, who, capsule.tool, id=approval.id, principal=capsule.principal,
            call=capsule.call, digest=approval.digest, note=approval.note,
        )  # fmt: skip


def _key(path: Path) -> bytes:
    """The key of this instance, made if need be."""
    known = read_file(path, str)
    if not known:
        known = secrets.token_hex(32)
        write_file(path, known)
    return bytes.fromhex(known)
