"""Researches a question: by a model that reads pages, or by plain rules."""

from __future__ import annotations

import asyncio

import msgspec
from loom import (
    Agent,
    Capability,
    CognitiveAgent,
    CognitiveConfig,
    Context,
    Envelope,
    LLMProvider,
)
from loom.contracts import ToolHints

from deep_research.findings import Claim, Found, Wanted
from deep_research.library import FETCH, SEARCH, Library
from deep_research.rules import find_claims
from deep_research.settings import ResearcherSettings, read_settings
from deep_research.thinking import MOST_TOKENS, RESEARCHER, TEMPERATURE, read_claims

LEAD = "lead"
AT_ONCE = 5
"""Questions that are researched side by side."""


class Researcher(Agent):
    async def on_start(self, ctx: Context) -> None:
        ctx.ephemeral["settings"] = read_settings("researcher", ctx.config, ResearcherSettings)

    async def on_event(self, ctx: Context, topic: str, event: Envelope) -> None:
        if topic != "research.wanted" or event.sender != LEAD:
            return
        wanted = msgspec.convert(event.data, Wanted)
        try:
            async with asyncio.timeout(wanted.deadline - ctx.clock.time()):
                found = await research(ctx, wanted)
        except TimeoutError:
            ctx.log.warning("research %s: no time for question %d", wanted.id, wanted.number)
            return
        await ctx.emit("research.found", msgspec.to_builtins(found), subject=wanted.id)


async def research(ctx: Context, wanted: Wanted) -> Found:
    settings: ResearcherSettings = ctx.ephemeral["settings"]
    library = Library(ctx, settings, wanted.question)
    found = await by_model(ctx, settings, wanted, library)
    return found or await by_rules(settings, wanted, library)


async def by_model(
    ctx: Context, settings: ResearcherSettings, wanted: Wanted, library: Library
) -> Found | None:
    """What a model finds; None without one, or if it comes to no claims."""
    thinker = CognitiveAgent(
        ctx,
        LLMProvider.from_runtime(ctx, settings.llm),
        CognitiveConfig(
            system_prompt=RESEARCHER, max_iterations=settings.max_iterations,
            temperature=TEMPERATURE, max_tokens=MOST_TOKENS,
        ),
        available_tools=[] if settings.seeds else [SEARCH],
    )  # fmt: skip
    # The library's own fetch asks the runtime's, and notes what came: only that can be cited.
    hints = ToolHints(read_only=True, idempotent=True)
    thinker.register_tool(Capability(library.fetch, FETCH, "1.0", hints))
    result = await thinker.run(goal(settings, wanted))
    if not result.success:
        ctx.log.warning("no model's answer to question %d: %s", wanted.number, result.error)
        return None
    claims, unreadable = read_claims(result.answer)
    if not claims:
        return None
    return answer_of(wanted, claims[: settings.max_claims], library, unreadable=unreadable)


def goal(settings: ResearcherSettings, wanted: Wanted) -> str:
    begin = f"\nBegin with these pages: {' '.join(settings.seeds)}" if settings.seeds else ""
    return (
        f"The question: {wanted.question}\nIt is part of a report on: {wanted.query}{begin}\n"
        f"At most {settings.max_pages} pages and {settings.max_claims} claims."
    )


async def by_rules(settings: ResearcherSettings, wanted: Wanted, library: Library) -> Found:
    """The sentences that fit best, of the pages that were read or are found now."""
    problem = "" if library.is_full else await library.fill(wanted.question)
    pages = list(library.pages.values())
    claims = await asyncio.to_thread(find_claims, wanted.question, pages, settings.max_claims)
    found = answer_of(wanted, claims, library, method="rules")
    if claims:
        return found
    nothing = f"none of {len(pages)} pages speaks of it" if pages else problem or "no pages"
    return msgspec.structs.replace(found, failure=nothing)


def answer_of(
    wanted: Wanted, claims: list[Claim], library: Library, *, method: str = "model",
    unreadable: int = 0,
) -> Found:  # fmt: skip
    """The answer, with the pages that its claims name, as they were read."""
    named = [msgspec.structs.replace(one, url=library.address_of(one.url)) for one in claims]
    cited = {one.url for one in named}
    pages = [page for url, page in library.pages.items() if url in cited]
    return msgspec.convert(
        {
            "id": wanted.id, "number": wanted.number, "claims": named, "pages": pages,
            "method": method, "unreadable": unreadable,
        },
        Found,
    )  # fmt: skip


agent = Researcher("researcher", ["research.wanted"], concurrency=f"parallel:{AT_ONCE}")
