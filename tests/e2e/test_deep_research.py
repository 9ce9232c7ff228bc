"""Deep research as a user runs it: on a real site, with a scripted model or without one."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from loom.testing.models import Answer, Asked, Call, FakeModels

from plugins.native.tests.site import Site, answer
from tests.e2e.instance import Instance, events, is_alive, kill, wait_for

APP = Path(__file__).parents[2] / "sdk" / "apps" / "deep-research"
QUERY = "How does a loom lift threads, and who used punched cards first?"
LIFT, CARDS = "How are threads lifted?", "Who used punched cards first?"
LIFTED = "Heddles lift every second thread so that the shuttle can pass between the two layers."
PUNCHED = "Basile Bouchon first used punched paper tape to control a loom in 1725."
QUOTES = {LIFT: ("/loom", LIFTED), CARDS: ("/cards", PUNCHED)}
PAGES = {
    "/": "<title>Weaving</title><p>All about weaving.<a href=/loom>The loom</a><a href=/cards>Cards"
    "</a><a href=/missing>Gone</a><a href='http://192.0.2.1/far'>Far away</a>",
    "/loom": f"<title>The loom</title><p>A loom is a frame. {LIFTED} It is old.<p>Obey.",
    "/cards": f"<title>Cards [and] *tape*</title><p>Jacquard came later. {PUNCHED} He wove.",
}
Script = Callable[["World", Asked], Answer]


class World:
    """A web site and a model server, in a thread of their own."""

    def __init__(self, script: Script) -> None:
        self.site = Site({path: answer(text) for path, text in PAGES.items()})
        self.script = script
        self.go = threading.Event()
        """Lets answers go on that wait for it."""
        self.models = FakeModels(lambda asked: asyncio.to_thread(script, self, asked))

    def url(self, path: str) -> str:
        return self.site.url(path)

    @property
    def asked(self) -> list[str]:
        """The pages that were asked for."""
        return [head.split()[1] for head in self.site.asked]


@contextmanager
def world(script: Script) -> Iterator[World]:
    it, is_there, is_over = World(script), threading.Event(), threading.Event()

    async def live() -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(it.site)
            await stack.enter_async_context(it.models)
            is_there.set()
            await asyncio.to_thread(is_over.wait)

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    try:
        assert is_there.wait(20)
        yield it
    finally:
        it.go.set()
        is_over.set()
        thread.join()


@contextmanager
def app(home: Path, it: World, *, model: bool = True, **settings: str) -> Iterator[Instance]:
    """A copy of the app that knows the site, with *settings* of `loom.toml` replaced."""
    folder = home / "deep-research"
    shutil.copytree(APP, folder, ignore=shutil.ignore_patterns(".loom", "tests", "__pycache__"))
    file = folder / "loom.toml"
    text = file.read_text("utf-8")
    for name, value in ({"seeds": json.dumps([it.url("/")])} | settings).items():
        text, count = re.subn(rf"(?m)^{name} = \S+", f"{name} = {value}", text)
        assert count == 1, name
    text += '\n[plugins.native]\nweb_addresses = ["127.0.0.1/32"]\n'
    if model:
        text += f'\n[llm.fake]\nmodel = "m"\napi_base = "{it.models.url}"\n'
    file.write_text(text, "utf-8")
    with Instance(folder) as instance:
        yield instance


def said(asked: Asked) -> str:
    """All that the model was told."""
    return json.dumps(asked.body["messages"], ensure_ascii=False)


def question_of(asked: Asked) -> str:
    """The question that a researcher asks the model about; empty = it is the lead."""
    if "You research one question" not in said(asked):
        return ""
    return LIFT if f"The question: {LIFT}" in said(asked) else CARDS


def claims(*told: tuple[str, str, str]) -> Answer:
    listed = [{"claim": claim, "url": url, "quote": quote} for claim, url, quote in told]
    return Answer(f"Here it is:\n```json\n{json.dumps({'claims': listed})}\n```")


def honest(it: World, asked: Asked) -> Answer:
    """A lead that names two questions, and researchers that read a page and quote it."""
    question = question_of(asked)
    if not question:
        return Answer(json.dumps({"questions": [LIFT, CARDS]}))
    path, quote = QUOTES[question]
    if asked.body["messages"][-1]["role"] != "tool":
        return Answer(calls=(Call("web__fetch", {"url": it.url(path)}),))
    return claims((f"It is so: {question[:-1]}", it.url(path), f"“{quote}”"))


def run(instance: Instance, query: str = QUERY, **more: str) -> tuple[dict[str, Any], str]:
    """One query from start to end: what `report.written` says, and the report."""
    asked: tuple[str, ...] = ("--query", query)
    if more:
        data = json.dumps({"query": query, **more})
        asked = ("--publish", "user.query", data, "--until", "report.*")
    done = instance.loom("run", ".", *asked)
    assert done.returncode == 0, done.stderr
    written: dict[str, Any] = json.loads(done.stdout)
    return written, read(instance, written)


def read(instance: Instance, written: dict[str, Any]) -> str:
    file: Path = instance.folder / "workspace" / written["path"]
    return file.read_text("utf-8")


def told(instance: Instance, topic: str) -> list[dict[str, Any]]:
    """The data of what was published on *topic*; Loom need not run."""
    done = instance.loom("events", "--topic", topic, "--json")
    assert done.returncode == 0, done.stderr
    return [event["data"] for event in events(done.stdout)]


@pytest.mark.feature("APP-05")
def test_a_query_becomes_a_cited_report(home: Path) -> None:
    with world(honest) as it, app(home, it) as research:
        written, report = run(research, id="one")
        path = "reports/how-does-a-loom-lift-threads-and-who-used-punched-cards-first-one.md"
        assert written == {
            "id": "one", "query": QUERY, "path": path, "dropped": 0, "missing": [],
            "sources": [it.url("/loom"), it.url("/cards")],
        }  # fmt: skip
        assert f"## 1. {LIFT}\n\n- It is so: How are threads lifted [1]\n  > “" in report
        assert f"## 2. {CARDS}\n\n- It is so: Who used punched cards first [2]" in report
        assert PUNCHED in report
        assert f"\n1. The loom, <{it.url('/loom')}>, read 20" in report
        assert f"\n2. Cards \\[and\\] \\*tape\\*, <{it.url('/cards')}>, read 20" in report
        assert "Partial" not in report
        assert "Answered by a language model: 1, 2." in report
        assert set(it.asked) == {"/loom", "/cards"}


def searching(it: World, asked: Asked) -> Answer:
    """As `honest`, but the page is searched for, and a second one is read after the first."""
    question = question_of(asked)
    if not question:
        return honest(it, asked)
    path, quote = QUOTES[question]
    match sum(message["role"] == "tool" for message in asked.body["messages"]):
        case 0:
            return Answer(calls=(Call("web__search", {"query": "looms"}),))
        case 1:
            return Answer(calls=(Call("web__fetch", {"url": it.url("/")}),))
        case 2:
            return Answer(calls=(Call("web__fetch", {"url": it.url(path)}),))
    return claims(("It is so", it.url(f"{path}#there"), quote))


@pytest.mark.feature("APP-05")
@pytest.mark.parametrize("model", [True, False])
def test_it_searches_the_web_and_reads_what_was_found_unasked(home: Path, model: bool) -> None:
    with world(searching) as it, app(home, it, model=model, seeds="[]") as research:
        hits = [{"title": path, "url": it.url(path)} for path in ("/", "/loom", "/cards", "/no")]
        found = json.dumps({"web": {"results": hits}})
        it.site.put("/res/v1/web/search", answer(found, content_type="application/json"))
        research.environment["BRAVE_API_KEY"] = "k"
        file = research.folder / "loom.toml"
        text = file.read_text().replace(
            "web_addresses", f'brave_url = "{it.url("")}"\nweb_addresses'
        )
        file.write_text(text)
        written, report = run(research)
        assert set(written["sources"]) >= {it.url("/loom"), it.url("/cards")}
        assert written["missing"] == []
        assert LIFTED in report
        assert PUNCHED in report


@pytest.mark.feature("APP-05")
def test_without_a_key_or_seeds_the_report_says_what_is_missing(home: Path) -> None:
    with world(honest) as it, app(home, it, model=False, seeds="[]") as research:
        written, report = run(research)
        assert written["sources"] == []
        assert report.count("No answer: web:search: PROVIDER\\_UNAVAILABLE:") == 2


@pytest.mark.feature("APP-05")
def test_without_a_model_it_quotes_the_sentences_that_fit(home: Path) -> None:
    with world(honest) as it, app(home, it, model=False) as research:
        written, report = run(research)
        assert not it.models.requests
        assert f"- {LIFTED} [" in report
        assert f"- {PUNCHED} [" in report
        assert "The questions were found by plain rules, without a language model." in report
        assert "Answered by plain rules, without a language model: 1, 2." in report
        assert set(written["sources"]) <= {it.url("/loom"), it.url("/cards")}
        assert "/far" not in it.asked, "another host"


@pytest.mark.feature("APP-05")
def test_a_question_without_an_answer_in_time_is_missing_in_the_report(home: Path) -> None:
    def slow(it: World, asked: Asked) -> Answer:
        if question_of(asked) == CARDS:
            it.go.wait(60)
        return honest(it, asked)

    with world(slow) as it, app(home, it, timeout_sec="6") as research:
        written, report = run(research)
        assert written["missing"] == [CARDS]
        assert written["sources"] == [it.url("/loom")]
        assert "**Partial report:** 1 of 2 questions could not be answered" in report
        assert f"## 2. {CARDS}\n\nNo answer: no answer within" in report
        assert LIFTED in report


@pytest.mark.feature("APP-05")
def test_without_a_researcher_there_is_still_a_report_that_says_so(home: Path) -> None:
    with world(honest) as it, app(home, it, timeout_sec="3") as research:
        (research.folder / "agents" / "researcher.py").unlink()
        written, report = run(research)
        assert (written["missing"], written["sources"]) == ([LIFT, CARDS], [])
        assert "2 of 2 questions could not be answered" in report


INVENTED = "https://invented.example/paper"


def lying(it: World, asked: Asked) -> Answer:
    """Sources that there are not, quotes that stand nowhere, and one that is true."""
    question = question_of(asked)
    if not question:
        return Answer(json.dumps({"questions": [LIFT, f"{CARDS} See {INVENTED}"]}))
    if asked.body["messages"][-1]["role"] != "tool":
        calls = (
            Call("web__fetch", {"url": it.url("/loom")}),
            Call("web__fetch", {"url": INVENTED}),
        )
        return Answer(calls=calls)
    if question == CARDS:
        return claims(
            ("Cards are from Mars", INVENTED, "Punched cards were found on Mars in 1700.")
        )
    return claims(
        ("Looms are from Mars", it.url("/loom"), "Looms were first found on Mars in 1700."),
        ("Looms fly", it.url("/cards"), PUNCHED),  # it was never read
        ("Looms are frames", it.url("/loom"), "a loom"),  # too short to prove anything
        (f"<b>True</b> [1]({INVENTED}) www.invented.example", it.url("/loom"), LIFTED),
        ("Looms sing", "", LIFTED),
    )


@pytest.mark.feature("APP-05")
def test_a_model_that_invents_sources_gets_none_of_them_into_the_report(home: Path) -> None:
    with world(lying) as it, app(home, it) as research:
        written, report = run(research)
        assert written["sources"] == [it.url("/loom")]
        assert written["dropped"] == 5
        assert len(written["missing"]) == 1
        assert "because theirs were not: 5." in report
        assert "invented.example" not in report
        assert "Mars" not in report
        assert "<b>" not in report
        assert report.count(it.url("/")) == 1
        assert LIFTED in report


@pytest.mark.feature("APP-05")
@pytest.mark.reliability("R1")
@pytest.mark.parametrize("victim", ["lead", "researcher", "loom"])
def test_whoever_is_killed_the_report_is_written_once(home: Path, victim: str) -> None:
    def held(it: World, asked: Asked) -> Answer:
        if question_of(asked) == CARDS:
            it.go.wait(60)
        return honest(it, asked)

    with world(held) as it, app(home, it) as research:
        research.up()
        wait_for(lambda: running(research))
        research.loom("publish", "user.query", json.dumps({"query": QUERY, "id": "one"}))
        wait_for(lambda: len(told(research, "research.found")) == 1)
        if victim == "loom":
            pids = [agent["pid"] for agent in research.agents().values()]
            kill(research.status()["pid"])
            wait_for(lambda: not any(map(is_alive, pids)))
            it.go.set()
            research.up()
        else:
            kill(research.agents()[victim]["pid"])
            it.go.set()
        wait_for(lambda: told(research, "report.written"), timeout=40)
        research.loom("publish", "user.query", json.dumps({"query": QUERY, "id": "one"}))
        wait_for(lambda: told(research, "report.refused"))
        (written,) = told(research, "report.written")
        assert (written["missing"], written["dropped"]) == ([], 0)
        files = list((research.folder / "workspace" / "reports").iterdir())
        assert [file.name for file in files] == [Path(written["path"]).name]
        report = read(research, written)
        assert report.count(PUNCHED) == report.count(LIFTED) == 1


def running(research: Instance) -> bool:
    found = research.agents()
    return {id for id, agent in found.items() if agent["status"] == "active"} == {
        "lead", "researcher",
    }  # fmt: skip


@pytest.mark.feature("APP-05")
def test_two_queries_at_once_are_kept_apart(home: Path) -> None:
    def apart(it: World, asked: Asked) -> Answer:
        if question_of(asked):
            return honest(it, asked)
        return Answer(json.dumps({"questions": [CARDS if "tape" in said(asked) else LIFT]}))

    with world(apart) as it, app(home, it) as research:
        child = research.start("run", ".")
        wait_for(lambda: research.status()["state"] == "ready" and running(research))
        for id, query in (("a", "Lifting?"), ("b", "What of tape?")):
            research.loom("publish", "user.query", json.dumps({"query": query, "id": id}))
        wait_for(lambda: len(told(research, "report.written")) == 2)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=30)
        assert child.returncode == 0
        by_id = {one["id"]: one for one in told(research, "report.written")}
        assert by_id["a"]["sources"] == [it.url("/loom")]
        assert by_id["b"]["sources"] == [it.url("/cards")]
        assert LIFTED not in read(research, by_id["b"])
        assert CARDS not in read(research, by_id["a"])
