"""The report as Markdown. Nothing that was read can add structure, HTML or a link to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from deep_research.findings import Evidence
from deep_research.research import Answer, Research

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&@$^!{}])")
_SCHEME = re.compile(r"(?<=\w):(?=//)|(?<=\bwww)\.", re.IGNORECASE)
_LIST = re.compile(r"^([-+=:]|\d+(?=[.)]))")
_ADDRESS = re.compile(r"(?:\w+://|www\.)\S+", re.IGNORECASE)
_SAFE = ":/?#[]@!$&'*+,;=%~-._"
"""What stands in a URL as it is; parentheses and angle brackets do not."""


def render(research: Research, summary: Sequence[Evidence]) -> str:
    """The whole report; *summary* is the evidence that it begins with."""
    sources = list(dict.fromkeys(one.url for one in research.evidence))
    parts = [f"# {escape(research.query)}", *_notice(research)]
    if summary:
        parts += ["## Summary", "\n".join(_statement(one, sources) for one in summary)]
    for number, question in enumerate(research.questions, 1):
        parts.append(f"## {number}. {escape(without_addresses(question))}")
        parts.append("\n".join(_section(research, number, sources)))
    if sources:
        parts += ["## Sources", "\n".join(_sources(research, sources))]
    parts += ["## About this report", "\n".join(_about(research))]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """*text* in one line, as plain words."""
    plain = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return _LIST.sub(lambda m: m[1] if m[1].isdigit() else f"\\{m[1]}", _SCHEME.sub(_broken, plain))


def without_addresses(text: str) -> str:
    """*text* of a model: what it names as an address was not looked at by anybody."""
    return _ADDRESS.sub("(address left out)", text)


def _broken(mark: re.Match[str]) -> str:
    return f"\\{mark[0]}"


def _notice(research: Research) -> Iterator[str]:
    if missing := research.missing:
        count = f"{len(missing)} of {len(research.questions)} questions"
        yield f"**Partial report:** {count} could not be answered; the sections say why."


def _statement(one: Evidence, sources: Sequence[str]) -> str:
    return f"- {escape(without_addresses(one.claim))} [{sources.index(one.url) + 1}]"


def _section(research: Research, number: int, sources: Sequence[str]) -> Iterator[str]:
    if reason := research.missing.get(number):
        yield f"No answer: {escape(without_addresses(reason))}."
    for one in research.answers.get(str(number), Answer()).evidence:
        yield _statement(one, sources)
        if one.quote != one.claim:
            yield f"  > “{escape(one.quote)}”"


def _sources(research: Research, sources: Sequence[str]) -> Iterator[str]:
    pages = {one.url: one for one in reversed(research.evidence)}
    for number, url in enumerate(sources, 1):
        read = _time(pages[url].accessed)
        yield f"{number}. {escape(pages[url].title)}, <{quote(url, safe=_SAFE)}>, read {read}"


def _about(research: Research) -> Iterator[str]:
    yield f"- Asked {_time(research.asked)}, id `{research.id}`."
    yield f"- The questions were found by {_whom(research.by)}."
    for method in ("model", "rules"):
        numbers = [n for n, answer in research.answers.items() if answer.method == method]
        if numbers:
            yield f"- Answered by {_whom(method)}: {', '.join(sorted(numbers))}."
    yield (
        "- Each statement is followed by the words that it rests on; they were found in the page "
        f"as it was read. Statements dropped because theirs were not: {research.dropped}."
    )


def _whom(method: str) -> str:
    return "a language model" if method == "model" else "plain rules, without a language model"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
