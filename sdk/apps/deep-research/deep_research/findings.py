"""What a researcher brings back, and which of it stands: a quote is looked up in its page."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Literal

import msgspec

Method = Literal["model", "rules"]
SHORTEST_QUOTE = 12
"""Letters and digits; less stands in many pages by chance."""
LONGEST_QUOTE = 600
_PLAIN = str.maketrans("‘’‚“”„«»–—‑−…", '\'\'\'"""""----.')
_SPACE = re.compile(r"\s+")
_NOT_WORD = re.compile(r"\W|_")

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class Claim(msgspec.Struct, frozen=True):
    """A statement, and the words of a page that support it."""

    claim: Text
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    quote: Text


class Page(msgspec.Struct, frozen=True):
    """A page as `web:fetch` returned it."""

    url: str
    """After all redirects, without a fragment."""
    title: str
    text: str
    accessed: float
    """UNIX seconds."""


class Wanted(msgspec.Struct, frozen=True):
    """One question of a research."""

    id: str
    number: int
    question: str
    query: str
    """What the whole research is about."""
    deadline: float
    """UNIX seconds after which nobody waits."""


class Found(msgspec.Struct, frozen=True):
    """What a researcher has to say of a question; nothing of it is believed as it is."""

    id: str
    number: int
    claims: list[Claim] = []
    pages: list[Page] = []
    """Those that the claims name."""
    method: Method = "model"
    unreadable: int = 0
    """Statements that were not even of the right form."""
    failure: str = ""
    """Why there is nothing."""


class Evidence(msgspec.Struct, frozen=True):
    """A claim whose quote was found in its page."""

    claim: str
    quote: str
    url: str
    title: str
    accessed: float


def verify(found: Found) -> tuple[list[Evidence], int]:
    """The claims that stand, each once, and how many do not."""
    pages = {page.url: page for page in found.pages}
    kept: dict[tuple[str, str], Evidence] = {}
    dropped = found.unreadable
    for claim in found.claims:
        page = pages.get(without_fragment(claim.url))
        if page is None or not stands_in(claim.quote, page.text):
            dropped += 1
            continue
        evidence = Evidence(claim.claim, claim.quote, page.url, page.title, page.accessed)
        kept.setdefault((page.url, plain(claim.quote)), evidence)
    return list(kept.values()), dropped


def without_fragment(url: str) -> str:
    return url.partition("#")[0]


def stands_in(quote: str, text: str) -> bool:
    """Whether *text* says *quote*, whatever its spaces, quotation marks, dashes and case."""
    wanted = plain(quote)
    is_long_enough = len(_NOT_WORD.sub("", wanted)) >= SHORTEST_QUOTE
    return is_long_enough and len(quote) <= LONGEST_QUOTE and wanted in plain(text)


def plain(text: str) -> str:
    """*text* for comparing."""
    same = unicodedata.normalize("NFKC", text.translate(_PLAIN)).casefold()
    return _SPACE.sub(" ", same).strip(" '\"")
