"""A conversation: lines that are typed, turns that are told, and questions in between.

Two threads share it: one reads what is typed, one what is told. All state is changed under one
condition.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from loom.contracts import ChatTold
from loom.instance import CommandFailed

from loom_plugin_chat.channel import Channel, Question
from loom_plugin_chat.screen import Screen

HELP = """\
/help            this
/clear           forget what was said in this session
/history         what was said
/verbose         show all that is observed and thought, or less again
/stream          show the answer as it comes, or only when it is whole
/research TOPIC  search for long, and with sources
/approve         the calls that wait for you
/stop            end the answer that is being made (or Ctrl-C)
/quit            leave (or Ctrl-D)"""
ENDS = ("answered", "failed")
YES, NO = {"y", "yes"}, {"n", "no"}
LAST_PATIENCE = 10.0
"""Seconds that a stopped turn has to end."""


class Talk:
    """Talks over *channel*, and shows it on *screen*."""

    def __init__(self, channel: Channel, screen: Screen) -> None:
        self._channel = channel
        self._screen = screen
        self._changed = threading.Condition()
        self._turn = ""
        self._failure = ""
        self._questions: deque[Question] = deque()
        self._seen: set[str] = set()
        self._is_listening = self._is_over = False
        self._commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: screen.note(HELP),
            "/clear": self._clear,
            "/history": self._history,
            "/verbose": self._verbose,
            "/stream": self._stream,
            "/research": self._research,
            "/approve": self._look_for_questions,
            "/stop": self._stop,
        }
        self._listener = threading.Thread(target=self._listen, name="loom-chat", daemon=True)

    def open(self) -> None:
        """Hear from now on.

        Raises:
            CommandFailed: it cannot.
        """
        self._listener.start()
        with self._changed:
            self._changed.wait_for(lambda: self._is_listening or self._is_over, timeout=10.0)
            if not self._is_listening:
                raise CommandFailed(self._failure or "Loom does not tell anything")
        for question in self._channel.questions():
            self._ask(question)

    def once(self, text: str) -> bool:
        """One turn; whether it was answered."""
        self._begin(text)
        self._attend()
        return not self._failure

    def run(self) -> None:
        """Talk until the person leaves, or Loom ends.

        Raises:
            CommandFailed: it ended.
        """
        while not self._is_over:
            self._wait_for_turn_of_person()
            self._screen.prompt() if not self._questions else None
            try:
                line = self._screen.read()
            except KeyboardInterrupt:
                if not self._turn:
                    return
                self._stop()
                continue
            if line is None or line == "/quit":
                if not self._screen.is_interactive:  # a pipe wants to see the answer
                    self._attend()
                return
            try:
                self._take(line)
            except CommandFailed as error:
                self._screen.note(error.message)
        raise CommandFailed(self._failure)

    # -- what is typed -----------------------------------------------------------------------

    def _take(self, line: str) -> None:
        with self._changed:
            question = self._questions[0] if self._questions else None
        if question is not None and not line.startswith("/"):
            self._decide(question, line.lower())
            return
        if not line.startswith("/"):
            self._begin(line) if line else None
            return
        word, _, rest = line.partition(" ")
        command = self._commands.get(word)
        if command is None:
            self._screen.note(f"there is no {word!r}; see /help")
        else:
            command(rest.strip())

    def _research(self, topic: str) -> None:
        if topic:
            self._begin(topic, research=True)
        else:
            self._screen.note("/research what?")

    def _clear(self, _: str) -> None:
        self._channel.clear()
        self._screen.note("forgotten")

    def _history(self, _: str) -> None:
        for entry in self._channel.history():
            self._screen.note(f"{entry['role']}: {entry['content']}")

    def _verbose(self, _: str) -> None:
        self._screen.is_verbose = not self._screen.is_verbose
        self._screen.note(f"verbose is {'on' if self._screen.is_verbose else 'off'}")

    def _stream(self, _: str) -> None:
        self._screen.is_streaming = not self._screen.is_streaming
        self._screen.note(f"streaming is {'on' if self._screen.is_streaming else 'off'}")

    def _begin(self, text: str, *, research: bool = False) -> None:
        with self._changed:
            if self._turn:
                self._screen.note("it still answers; wait, or /stop it")
                return
            self._failure = ""
            self._turn = "?"  # what is told before its name is known is its own
        try:
            turn = self._channel.say(text, research=research)
        except BaseException:
            with self._changed:
                self._turn = ""
            raise
        with self._changed:
            if self._turn == "?":
                self._turn = turn

    def _decide(self, question: Question, word: str) -> None:
        if word not in YES | NO:
            self._screen.note("yes or no?")
            return
        with self._changed:
            self._questions.popleft()
        self._channel.decide(question, allow=word in YES)
        self._show_next_question()

    def _look_for_questions(self, _: str) -> None:
        waiting = self._channel.questions()
        if not waiting:
            self._screen.note("nothing waits for you")
        with self._changed:
            self._questions.clear()
            self._seen.clear()
        for question in waiting:
            self._ask(question)

    def _stop(self, _: str = "") -> None:
        if not self._turn:
            self._screen.note("nothing runs")
            return
        self._channel.stop()
        with self._changed:
            self._changed.wait_for(lambda: not self._turn or self._is_over, LAST_PATIENCE)

    # -- waiting -----------------------------------------------------------------------------

    def _wait_for_turn_of_person(self) -> None:
        """Whoever types may do so at any time; lines of a pipe wait until they are wanted."""
        if self._screen.is_interactive:
            return
        with self._changed:
            self._changed.wait_for(lambda: not self._turn or self._questions or self._is_over)

    def _attend(self) -> None:
        """Wait for the end of the turn; nobody is there any more to be asked."""
        try:
            with self._changed:
                self._changed.wait_for(lambda: not self._turn or self._is_over or self._questions)
                is_asked = bool(self._questions) and bool(self._turn)
            if is_asked:
                self._screen.note("a call waits for you: loom approve")
                with self._changed:
                    self._changed.wait_for(lambda: not self._turn or self._is_over)
        except KeyboardInterrupt:
            self._stop()

    # -- what is told ------------------------------------------------------------------------

    def _listen(self) -> None:
        try:
            for heard in self._channel.hear():
                if heard is None:
                    with self._changed:
                        self._is_listening = True
                        self._changed.notify_all()
                elif isinstance(heard, Question):
                    self._ask(heard)
                else:
                    self._told(heard)
            failure = "Loom has ended"
        except CommandFailed as error:
            failure = error.message
        except OSError as error:  # nobody reads what we print
            failure = str(error)
        with self._changed:
            self._is_over = True
            self._failure = failure
            self._changed.notify_all()

    def _told(self, told: ChatTold) -> None:
        with self._changed:
            is_end = told.kind in ENDS
            if not self._turn and not is_end:
                self._turn = told.turn  # begun before, by a terminal that is gone
            self._screen.tell(told)
            if is_end and self._turn in ("?", told.turn):
                self._turn = ""
                self._failure = told.text if told.kind == "failed" else ""
                self._questions.clear()
                self._changed.notify_all()
                self._screen.prompt()

    def _ask(self, question: Question) -> None:
        with self._changed:
            if question.id in self._seen:
                return
            self._seen.add(question.id)
            self._questions.append(question)
            if len(self._questions) == 1:
                self._screen.ask(question)
            self._changed.notify_all()

    def _show_next_question(self) -> None:
        with self._changed:
            if self._questions:
                self._screen.ask(self._questions[0])
