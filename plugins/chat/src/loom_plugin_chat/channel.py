"""What the terminal says to Loom, and hears of it, over the control socket."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from loom.contracts import ChatSaid, ChatTold
from loom.instance import CommandFailed, Unanswered, answer_of, ask, stream
from loom_kernel import Paths

DECIDED = 3600.0
"""Seconds that an approved call has, if nobody else waits for it."""


class Question(NamedTuple):
    """A call that waits for a person."""

    id: str
    digest: str
    text: str


Heard = ChatTold | Question


class Channel:
    """One conversation with *agent*, in *session*."""

    def __init__(self, paths: Paths, agent: str, session: str) -> None:
        self.agent = agent
        self.session = session
        self._paths = paths

    # -- saying ------------------------------------------------------------------------------

    def is_there(self) -> bool:
        """Whether the agent answers."""
        try:
            self.history()
        except Unanswered:
            raise
        except CommandFailed:
            return False
        return True

    def say(self, text: str, *, research: bool = False) -> str:
        """Begin a turn; its name.

        Raises:
            CommandFailed: nobody took it.
        """
        said = ChatSaid(text, secrets.token_hex(8), self.session, research)
        found = ask(
            self._paths, "publish", within=60.0, topic=self._topic("said"),
            data=msgspec.to_builtins(said),
        )  # fmt: skip
        if not found["taken"]:
            raise CommandFailed(f"nobody listens to {self._topic('said')}; is the agent there?")
        return said.turn

    def stop(self) -> None:
        """End the turn that runs."""
        self._tell("stopped")

    def clear(self) -> None:
        """Have what was said forgotten."""
        self._tell("cleared")

    def history(self) -> list[dict[str, str]]:
        """What was said, the oldest first."""
        answer = answer_of(
            self._paths, self._topic("history"), {"session": self.session}, timeout=5.0
        )
        entries: list[dict[str, str]] = answer["entries"]
        return entries

    def questions(self) -> list[Question]:
        """The calls that wait for a decision."""
        waiting = answer_of(self._paths, "approval.list")["approvals"]
        return [_question(one) for one in waiting]

    def decide(self, question: Question, *, allow: bool) -> None:
        """Allow it as it was shown, or deny it."""
        decision = {"id": question.id, "digest": question.digest, "allow": allow}
        answer = answer_of(self._paths, "approval.decide", decision, timeout=DECIDED)
        if isinstance(answer, dict) and "error" in answer:
            raise CommandFailed(str(answer["error"]))

    def _tell(self, what: str) -> None:
        ask(
            self._paths, "publish", within=60.0, topic=self._topic(what),
            data={"session": self.session},
        )  # fmt: skip

    def _topic(self, what: str) -> str:
        return f"chat.{self.agent}.{what}"

    # -- hearing -----------------------------------------------------------------------------

    def hear(self) -> Iterator[Heard | None]:
        """What is told in this session and asked of its owner, until Loom ends.

        The first is None: from then on nothing is missed.
        """
        patterns = [self._topic("told"), "approval.wanted"]
        for line in stream(self._paths, "tail", within=None, patterns=patterns):
            if "event" not in line:
                if "end" in line:
                    return
                yield None
                continue
            event = line["event"]
            if event["topic"] == "approval.wanted":
                yield _question(event["data"])
                continue
            with suppress(msgspec.ValidationError):  # another agent's word of the same topic
                told = msgspec.convert(event["data"], ChatTold)
                if told.session == self.session:
                    yield told


def _question(approval: dict[str, Any]) -> Question:
    return Question(approval["capsule"]["id"], approval["digest"], approval["text"])
