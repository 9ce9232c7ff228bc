"""`loom tail`: events as they happen, from outside."""

from __future__ import annotations

import json
import signal

import pytest

from tests.e2e.instance import Instance, events, wait_for

pytestmark = pytest.mark.feature("CLI-04")


def test_what_is_published_is_seen(bare: Instance) -> None:
    bare.up()
    watching = bare.tail("--count", "2", "note.>")
    bare.loom("publish", "other.topic", "0")
    bare.loom("publish", "note.added", '{"text": "milk"}', "--subject", "n-1", "--type", "Note")
    bare.loom("publish", "note.removed", "--subject", "n-1")
    told, _ = watching.communicate(timeout=20)
    assert watching.returncode == 0
    first, second = events(told)
    assert (first["topic"], first["type"], first["sender"]) == ("note.added", "Note", "cli")
    assert (first["subject"], first["data"]) == ("n-1", {"text": "milk"})
    assert (second["topic"], second["data"]) == ("note.removed", None)


def test_the_runtimes_own_events_are_seen_when_asked_for_until_it_stops(bare: Instance) -> None:
    bare.up()
    everything, runtime = bare.tail(), bare.tail("$loom.>")
    bare.loom("publish", "a.b")
    bare.loom("down")
    told, said = runtime.communicate(timeout=20)
    assert [event["topic"] for event in events(told)] == ["$loom.stopping"]
    assert said == "Loom has stopped\n"
    assert runtime.returncode == 0
    told, _ = everything.communicate(timeout=20)
    assert [event["topic"] for event in events(told)] == ["a.b"]


def test_filters(bare: Instance) -> None:
    bare.up()
    watching = bare.tail("--type", "Wanted", "--sender", "cli", "--count", "1")
    nobody = bare.tail("--sender", "nobody", "--timeout", "3", "--count", "1")
    bare.loom("publish", "a.b", "1", "--type", "Other")
    bare.loom("publish", "a.b", "2", "--type", "Wanted")
    (event,) = events(watching.communicate(timeout=20)[0])
    assert event["data"] == 2
    assert nobody.communicate(timeout=20) == ("", "")
    assert nobody.returncode == 1


def test_one_thread_is_followed(bare: Instance) -> None:
    bare.up()
    first = bare.tail("--count", "1")
    bare.loom("publish", "a.b")
    (event,) = events(first.communicate(timeout=20)[0])
    watching = bare.tail("--thread", event["thread_id"], "--timeout", "2")
    bare.loom("publish", "a.b")
    assert watching.communicate(timeout=20)[0] == ""
    assert watching.returncode == 0, "nothing was asked for but to watch for two seconds"


def test_people_get_one_line_an_event(bare: Instance) -> None:
    bare.up()
    watching = bare.start("tail", "--count", "1")
    wait_for(lambda: bare.tails() == 1)
    nasty = "a\x1b[2J\nb"
    bare.loom("publish", "note.added", json.dumps({"text": "milk " * 100}), "--subject", nasty)
    told, _ = watching.communicate(timeout=20)
    assert told.count("\n") == 1
    assert " note.added cli a\\x1b[2J\\x0ab {" in told
    assert "\x1b" not in told, "no colours where there is no terminal"
    assert len(told) <= 125


def test_ctrl_c_ends_it_quietly(bare: Instance) -> None:
    bare.up()
    watching = bare.tail()
    watching.send_signal(signal.SIGINT)
    assert watching.communicate(timeout=20) == ("", "")
    assert watching.returncode == 130
    wait_for(lambda: bare.tails() == 0)


def test_a_wrong_pattern_is_explained(bare: Instance) -> None:
    bare.up()
    done = bare.loom("tail", "a.>.b")
    assert done.returncode == 2
    assert "invalid topic 'a.>.b'" in done.stderr


def test_an_event_that_cannot_be_sent_is_still_seen(bare: Instance) -> None:
    bare.add_plugin(
        "odd",
        """
from contextlib import asynccontextmanager
from loom_kernel import hookimpl

@hookimpl
@asynccontextmanager
async def loom_attach(host):
    async def publish(event):
        await host.publish("odd.object", object())
        await host.publish("odd.bytes", b"\\xff" * 10)
        await host.publish("odd.large", {"x": ["y" * 1000] * 2000})
    host.on("go", handler=publish)
    yield
""",
    )
    bare.up("--with", "odd")
    watching = bare.start("tail", "--count", "3", "odd.>")
    wait_for(lambda: bare.tails() == 1)
    bare.loom("publish", "go")
    first, second, third = watching.communicate(timeout=20)[0].splitlines()
    assert "odd.object" in first
    assert "has no JSON form" in first
    assert "odd.bytes odd 10 bytes" in second
    assert "odd.large" in third
    assert "data left out" in third
