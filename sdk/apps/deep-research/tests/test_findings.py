"""Only what stands in a page that was read is believed."""

from __future__ import annotations

import pytest

from deep_research.findings import Claim, Found, Page, stands_in, verify

pytestmark = pytest.mark.feature("APP-05")

TEXT = "Heddles lift every “second” thread —\nso that the shuttle\u00a0can pass."
URL = "https://loom.example/page"
PAGE = Page(URL, "The loom", TEXT, 0.0)


@pytest.mark.parametrize(
    "quote",
    [
        "Heddles lift every “second” thread",
        '"heddles  LIFT every "second" thread - so that"',
        "so that the shuttle can pass.",
    ],
)
def test_a_quote_stands_whatever_its_signs_and_spaces(quote: str) -> None:
    assert stands_in(quote, TEXT)


@pytest.mark.parametrize(
    "quote",
    ["Heddles lift every third thread", "", " ", "every", "…" * 50, "- - - - - - - -", TEXT * 2],
)
def test_what_it_does_not_say_does_not_stand(quote: str) -> None:
    assert not stands_in(quote, TEXT)


def claim(text: str, url: str = URL, quote: str = "the shuttle can pass") -> Claim:
    return Claim(text, url, quote)


def test_claims_are_kept_once_and_dropped_ones_are_counted() -> None:
    claims = [
        claim("one", f"{URL}#part"), claim("the same"), claim("two", quote="Heddles lift every"),
        claim("other page", "https://loom.example/other"), claim("other words", quote="x" * 50),
    ]  # fmt: skip
    kept, dropped = verify(Found("a", 1, claims, [PAGE], unreadable=2))
    assert [(one.claim, one.url) for one in kept] == [("one", URL), ("two", URL)]
    assert dropped == 4
