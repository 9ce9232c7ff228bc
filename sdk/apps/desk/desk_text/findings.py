"""Everything that is found out about one document: it crosses the bus and fills a report."""

from __future__ import annotations

import math

import msgspec

from desk_text.document import Heading, Link, Task, read
from desk_text.language import UNSPACED, guess, sentences, words
from desk_text.summary import summarize
from desk_text.terms import Term, key_terms

WORDS_A_MINUTE = 230
"""Silent reading of non-fiction in English: Brysbaert, doi:10.1016/j.jml.2019.104047 (238)."""
CHARACTERS_A_MINUTE = 500
MOST = 200
"""Entries of one kind that a report lists."""


class Findings(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The facts of one document; *minutes* is the time that reading it takes."""

    title: str
    language: str = ""
    word_count: int = 0
    character_count: int = 0
    minutes: int = 0
    summary: list[str] = []
    headings: list[Heading] = []
    key_points: list[str] = []
    terms: list[Term] = []
    tasks: list[Task] = []
    questions: list[str] = []
    links: list[Link] = []
    code_blocks: int = 0
    is_cut: bool = False
    model: str = ""
    """Which model said title, summary and key points; empty = the rules found them."""
    model_read: int = 0
    """Characters of the document that the model was shown; 0 = all."""
    unheard: str = ""
    """Why a model that there is was not believed; empty = it was, or there is none."""


def analyse(content: str, name: str) -> Findings:
    """Read the text *content* of the file *name* and find out what can be known without a model.

    Raises:
        Unreadable: it is not text, or the suffix is of no known kind.
    """
    document = read(content, name)
    text = "\n".join(document.passages)
    language = guess(text)
    word_count = len(words(text))
    letters = sum(not character.isspace() for character in text)
    return Findings(
        title=document.title,
        language=language,
        word_count=0 if language in UNSPACED else word_count,
        character_count=letters,
        minutes=_minutes(word_count, letters, language),
        summary=summarize(document.passages, language),
        headings=document.headings[:MOST],
        terms=key_terms(document.passages, language),
        tasks=document.tasks[:MOST],
        questions=_questions(document.passages, language),
        links=document.links[:MOST],
        code_blocks=document.code_blocks,
        is_cut=document.is_cut,
    )


def _minutes(word_count: int, letters: int, language: str) -> int:
    if language in UNSPACED:
        return math.ceil(letters / CHARACTERS_A_MINUTE)
    return math.ceil(word_count / WORDS_A_MINUTE)


def _questions(passages: list[str], language: str) -> list[str]:
    asked = (s for passage in passages if _asks(passage) for s in sentences(passage, language))
    return [sentence for sentence in dict.fromkeys(asked) if _asks(sentence[-1])][:MOST]


def _asks(text: str) -> bool:
    return any(mark in text for mark in "?？؟;")
