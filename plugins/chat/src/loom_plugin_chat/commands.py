"""`chat`: a conversation in the terminal."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

import click
from loom.instance import (
    CommandFailed,
    Refused,
    find_instance,
    json_option,
    lock_holder,
    say,
)
from loom_kernel import Paths, RealClock

from loom_plugin_chat.channel import Channel
from loom_plugin_chat.screen import Screen
from loom_plugin_chat.talk import Talk


@click.command()
@click.argument("folder", required=False, type=click.Path(), metavar="[DIR]")
@click.option("--agent", "-i", default="assistant", show_default=True, help="With whom.")
@click.option("--session", "-s", default="main", show_default=True, help="Which conversation.")
@click.option("--once", "text", metavar="TEXT", help="Ask this, print the answer, and end.")
@click.option("--patience", default=30.0, show_default=True, help="Seconds to wait for the agent.")
@click.option("--state", type=click.Path(path_type=Path), help="State folder, not the usual.")
@json_option
def chat(
    folder: str | None,
    agent: str,
    session: str,
    text: str | None,
    patience: float,
    state: Path | None,
    as_json: bool,
) -> None:
    """Talk with an agent of the app in DIR, or of the current folder.

    Loom is started if it does not run, and then ended with the conversation. What the agent may
    not do alone is asked here: yes or no. The history stays; a session of another name begins
    anew. Lines of a pipe are said one after the other. /help shows the commands.

    Exit codes: 0 done, 1 no answer, 2 usage, 4 Loom cannot be reached.

    \b
    cd sdk/apps/chat-assistant && loom chat
    loom chat sdk/apps/chat-assistant --once 'What is in notes.md?'
    echo 'What is new?' | loom chat --session news --json
    """
    paths = find_instance(folder, state)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    is_ours = not lock_holder(paths.state)
    if is_ours:
        _loom(folder, state, "up")
    try:
        talk = Talk(_reached(paths, agent, session, patience), Screen(as_json=as_json))
        talk.open()
        if text is not None:
            if not talk.once(text):
                raise CommandFailed("there is no answer")
        else:
            say(f"{agent}, session {session}; /help shows the commands", err=True)
            talk.run()
    finally:
        if is_ours:
            _loom(folder, state, "down")


def _leave(number: int, _: FrameType | None) -> None:
    """End in order what was asked to end: what was started here ends too."""
    sys.exit(128 + number)


def _reached(paths: Paths, agent: str, session: str, patience: float) -> Channel:
    """The channel, when the agent answers."""
    channel, clock = Channel(paths, agent, session), RealClock()
    deadline, pause = clock.monotonic() + patience, threading.Event()
    while not channel.is_there():
        if clock.monotonic() > deadline:
            raise Refused(
                f"no agent {agent!r} takes part in conversations here; see `loom agents`, and "
                "give its name with --agent"
            )
        pause.wait(0.1)
    return channel


def _loom(folder: str | None, state: Path | None, command: str) -> None:
    """Start or end the Loom that is meant.

    Raises:
        CommandFailed: it does not start.
    """
    where = ["--state", str(state)] if state else []
    words = [sys.executable, "-m", "loom_kernel", command, *([folder] if folder else []), *where]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode and command == "up":
        raise CommandFailed(done.stderr.strip().removeprefix("loom: ") or "Loom does not start")
