"""Takes a query apart, lets every question be researched, and writes what was proved."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from loom import Agent, Context, Envelope, ToolError
from loom.contracts import AgentRecord
from loom_kernel import detached

from deep_research import questions
from deep_research.findings import Evidence, Found, Wanted, verify
from deep_research.questions import Query
from deep_research.report import render
from deep_research.research import Answer, Research, Researches
from deep_research.settings import LeadSettings, read_settings
from deep_research.thinking import CHOICE, ask_model, choice_prompt, read_choice

QUERY, FOUND, DUE = "user.query", "research.found", "research.due"
RESEARCHER = "researcher"
PATIENCE = 10.0
"""Seconds for which a query waits for the researcher's process."""
FOLDER = "reports"
OF_SUMMARY = 5


class Lead(Agent):
    async def on_start(self, ctx: Context) -> None:
        ctx.ephemeral |= {
            "settings": read_settings("lead", ctx.config, LeadSettings),
            "timers": {},
        }
        for research in Researches(ctx.state):  # of the process before this one
            set_timer(ctx, research)

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        handle = {QUERY: begin, FOUND: take, DUE: time_is_over}.get(topic)
        if handle is not None:
            await handle(ctx, event)


def settings_of(ctx: Context) -> LeadSettings:
    settings: LeadSettings = ctx.ephemeral["settings"]
    return settings


# -- a query ----------------------------------------------------------------------------------


async def begin(ctx: Context, event: Envelope) -> None:
    try:
        asked = msgspec.convert(event.data, Query)
    except msgspec.ValidationError as error:
        await ctx.emit("report.refused", {"reason": f"{QUERY}: {error}"})
        return
    id = asked.id or event.id.replace("-", "")[-12:]
    if not ctx.once(id):
        await ctx.emit("report.refused", {"id": id, "reason": "there was a query of this id"})
        return
    research = await planned(ctx, id, asked.query, event)
    Researches(ctx.state).keep(research)
    await wait_researcher(ctx, min(PATIENCE, settings_of(ctx).timeout_sec))
    for number, question in enumerate(research.questions, 1):
        wanted = Wanted(id, number, question, research.query, research.deadline)
        await ctx.emit("research.wanted", msgspec.to_builtins(wanted), subject=id)
    set_timer(ctx, research)


async def planned(ctx: Context, id: str, query: str, event: Envelope) -> Research:
    settings = settings_of(ctx)
    most = settings.max_questions
    schema = questions.schema(most)
    prompt = questions.prompt(query, most)
    answer = await ask_model(ctx, settings.llm, prompt, schema, settings.model_timeout_sec)
    found = questions.read_questions(answer, most)
    return Research(
        id=id, query=query, questions=found or questions.questions_by_rules(query, most),
        by="model" if found else "rules", asked=event.time,
        deadline=ctx.clock.time() + settings.timeout_sec, labels=sorted(event.labels),
    )  # fmt: skip


async def wait_researcher(ctx: Context, seconds: float) -> None:
    """Wait until it can hear: its process may still be starting. Go on if it does not come."""
    with ctx.host.subscribe("agent.*.started") as started:
        try:
            async with asyncio.timeout(seconds):
                while not await is_listening(ctx):
                    await started.receive()
        except TimeoutError:
            ctx.log.warning("there is no %s; what it is told now it may never hear", RESEARCHER)


async def is_listening(ctx: Context) -> bool:
    told = (await ctx.request("agent.list", {"id": RESEARCHER})).data["agents"]
    found = msgspec.convert(told, list[AgentRecord])
    return any(agent.status == "active" and len(agent.topics) > 1 for agent in found)


# -- time -------------------------------------------------------------------------------------


def set_timer(ctx: Context, research: Research) -> None:
    """Let the end of *research* be an event: like all others it survives the process."""
    timers: dict[str, asyncio.Task[None]] = ctx.ephemeral["timers"]
    if research.id not in timers:
        timers[research.id] = ctx.host.spawn(tell_end(ctx, research), f"due/{research.id}")


async def tell_end(ctx: Context, research: Research) -> None:
    clock = ctx.host.clock
    await clock.sleep(max(0.0, research.deadline - clock.time()))
    known = Researches(ctx.state).get(research.id) or research
    with detached():  # the event whose handler set the timer was handled long ago
        await ctx.emit(DUE, {"id": research.id}, subject=research.id, labels=known.labels)


async def time_is_over(ctx: Context, event: Envelope) -> None:
    research = Researches(ctx.state).get(event.data["id"]) if event.sender == ctx.agent_id else None
    if research is not None:
        await write(ctx, research)


# -- what was found ---------------------------------------------------------------------------


async def take(ctx: Context, event: Envelope) -> None:
    """Take in what a researcher found, as far as it can be verified."""
    if event.sender != RESEARCHER:
        ctx.log.error("%s says that it found something: left out", event.sender)
        return
    found = msgspec.convert(event.data, Found)
    researches = Researches(ctx.state)
    research = researches.get(found.id)
    if research is None or str(found.number) in research.answers:
        return  # too late, or told again after a crash
    research.labels = sorted({*research.labels, *event.labels})
    evidence, dropped = verify(found)
    answer = Answer(evidence, dropped, found.method, found.failure)
    researches.add(research, found.number, answer)
    if research.is_complete:
        await write(ctx, research)


async def write(ctx: Context, research: Research) -> None:
    """The end of *research*: one report, whatever there is to say."""
    if timer := ctx.ephemeral["timers"].pop(research.id, None):
        timer.cancel()
    text = render(research, await summary(ctx, research))
    path = f"{FOLDER}/{questions.file_name(research.query, research.id)}"
    Researches(ctx.state).drop(research)
    told: dict[str, Any] = {"id": research.id, "query": research.query}
    try:
        await ctx.tool(
            "fs:write_file", {"path": path, "content": text}, call_id=f"report-{research.id}",
            reason=f"the report on {research.query}"[:1000],
        )  # fmt: skip
    except ToolError as error:
        await ctx.emit("report.failed", {**told, "reason": str(error)}, labels=research.labels)
        return
    told |= {
        "path": path,
        "sources": list(dict.fromkeys(one.url for one in research.evidence)),
        "dropped": research.dropped,
        "missing": [research.questions[number - 1] for number in research.missing],
    }
    await ctx.emit("report.written", told, subject=research.id, labels=research.labels)


async def summary(ctx: Context, research: Research) -> list[Evidence]:
    """What the report begins with: a model's choice, else the first of every section."""
    settings = settings_of(ctx)
    known = research.evidence
    if len(known) > OF_SUMMARY:
        prompt = choice_prompt(research.query, known)
        answer = await ask_model(ctx, settings.llm, prompt, CHOICE, settings.model_timeout_sec)
        if chosen := read_choice(answer, len(known)):
            return [known[number] for number in chosen]
    return [answer.evidence[0] for _, answer in sorted(research.answers.items()) if answer.evidence]


agent = Lead("lead", [QUERY, FOUND, DUE])
