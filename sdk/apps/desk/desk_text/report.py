"""The report as Markdown, and the stamp by which the app knows a report for its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import PurePosixPath

import msgspec

from desk_text.document import Task
from desk_text.findings import Findings
from desk_text.language import NAMES, UNSPACED

SUFFIX = ".report.md"
VERSION = 1
"""Part of the stamp: a new layout renews old reports."""
_STAMP = re.compile(
    r"\A---\ngenerator: desk (?P<version>\d+)\n"
    r"source: (?P<source>.+)\nsha256: (?P<digest>\w+)\n---\n"
)
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|])")


class Stamp(msgspec.Struct, frozen=True):
    """What a report was made from."""

    source: str
    digest: str
    version: int = VERSION


def digest_of(content: str) -> str:
    return sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def is_report(path: str) -> bool:
    return path.lower().endswith(SUFFIX)


def report_paths(path: str) -> list[str]:
    """Where the report on *path* may go: `notes.report.md`, else `notes.txt.report.md`.

    Two documents may differ in the suffix only; the second one to come gets the long form.
    """
    source = PurePosixPath(path)
    return [str(source.with_suffix(SUFFIX)), str(source.with_name(source.name + SUFFIX))]


def read_stamp(report: str) -> Stamp | None:
    """The stamp of a report; None for a file that this app did not write."""
    found = _STAMP.match(report.replace("\r\n", "\n"))
    return Stamp(found["source"], found["digest"], int(found["version"])) if found else None


def is_up_to_date(found: str | None, stamp: Stamp) -> bool:
    """Whether *found*, the file where the report would go, is already this very report."""
    return found is not None and read_stamp(found) == stamp


def may_write(found: str | None, stamp: Stamp) -> bool:
    """Whether the report may take the place of *found*: nothing, or an older one of its own."""
    if found is None:
        return True
    known = read_stamp(found)
    return known is not None and known.source == stamp.source


def render(findings: Findings, stamp: Stamp) -> str:
    """The whole report. Text of the document is escaped: it cannot add structure or HTML."""
    parts = [_head(stamp), f"# {_escape(findings.title)}", _facts(findings, stamp.source)]
    for title, lines in _SECTIONS.items():
        if body := list(lines(findings)):
            parts.append(f"## {title}\n\n" + "\n".join(body))
    return "\n\n".join(parts) + "\n"


def _head(stamp: Stamp) -> str:
    lines = [f"generator: desk {stamp.version}", f"source: {stamp.source}"]
    return "\n".join(["---", *lines, f"sha256: {stamp.digest}", "---"])


def _facts(findings: Findings, source: str) -> str:
    if not findings.character_count:
        return f"A report on {_escape(source)}. It has no running text.{_maker(findings)}"
    if findings.language in UNSPACED:
        size = f"{findings.character_count:,} characters"
    else:
        size = f"{findings.word_count:,} words"
    facts = [size, f"about {findings.minutes} min to read"]
    if findings.language:
        facts.append(NAMES[findings.language])
    if findings.code_blocks:
        facts.append(f"code blocks: {findings.code_blocks}")
    cut = " Only its beginning was read: it is too long." if findings.is_cut else ""
    return f"A report on {_escape(source)}: {', '.join(facts)}.{cut}{_maker(findings)}"


def _maker(findings: Findings) -> str:
    """Who wrote what a model may write; nothing where there is no model."""
    if findings.model:
        by = f"the model {_escape(findings.model)}"
        part = f", which read the first {findings.model_read:,} characters"
        read = part if findings.model_read else ""
        return f" Title, summary and key points are by {by}{read} and may be wrong."
    if findings.unheard:
        why = _escape(findings.unheard)
        return f" The summary is made of the author's own sentences: {why}."
    return ""


def _summary(findings: Findings) -> Iterator[str]:
    return (f"- {_escape(sentence)}" for sentence in findings.summary)


def _key_points(findings: Findings) -> Iterator[str]:
    return (f"- {_escape(point)}" for point in findings.key_points)


def _outline(findings: Findings) -> Iterator[str]:
    """Nested by depth, not by level: a document that jumps from 1 to 3 still nests by one."""
    open_levels: list[int] = []
    for heading in findings.headings:
        while open_levels and open_levels[-1] >= heading.level:
            open_levels.pop()
        yield f"{'  ' * len(open_levels)}- {_escape(heading.text)}"
        open_levels.append(heading.level)


def _terms(findings: Findings) -> Iterator[str]:
    return (f"- {_escape(term.text)} ({term.count})" for term in findings.terms)


def _tasks(findings: Findings) -> Iterator[str]:
    return (f"- [{_box(task)}] {_escape(task.text)}" for task in findings.tasks)


def _box(task: Task) -> str:
    return "x" if task.is_done else " "


def _questions(findings: Findings) -> Iterator[str]:
    return (f"- {_escape(question)}" for question in findings.questions)


def _links(findings: Findings) -> Iterator[str]:
    return (f"- [{_escape(link.text)}](<{link.target}>)" for link in findings.links)


_SECTIONS: dict[str, Callable[[Findings], Iterator[str]]] = {
    "Summary": _summary,
    "Key points": _key_points,
    "Outline": _outline,
    "Key terms": _terms,
    "Tasks": _tasks,
    "Open questions": _questions,
    "Links": _links,
}


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
