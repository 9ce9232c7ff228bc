"""HTML becomes what a person would read, whatever somebody wrote into it."""

from __future__ import annotations

from time import process_time

import pytest
from loom_plugin_native.web.reading import MOST_LINKS, clean, read_html

pytestmark = pytest.mark.feature("NAT-03")


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("a<br>b<hr>c", "a\nb\nc"),
        ("1 < 2 &lt; 3 &amp;amp;", "1 < 2 < 3 &amp;"),
        ("<p hidden>x</p>y<p aria-hidden='true'>z</p>", "y"),
        ("<div style='display:none'><div>x</div>x</div>y", "y"),
        ("<a title='a > b' href=\"c>d\">e</a>", "e"),
        ("a\nb<pre>c\nd</pre>e\nf", "a b\nc\nd\ne f"),
        ("<script>if (a<b) '</p>'</script>after", "after"),
        ("<script>never closed <p>text", ""),
        ("<!-- never closed <p>text", "never closed\ntext"),
        ("<!DOCTYPE html><?xml?>x", "x"),
        ("ig\u200bno\u2060re\u202e \U000e0041x", "ignore x"),
        ("a\0b\x1b[2Jc", "a b [2Jc"),
        ("</p></div>x</nonsense>", "x"),
        ("<head><meta name=a><body>no end of the head", "no end of the head"),
        ("<svg><text>drawn</text></svg><select><option>a</select>b", "b"),
        ("<", "<"),
        ("", ""),
    ],
)
def test_html_is_read_as_a_person_sees_it(html: str, text: str) -> None:
    assert read_html(html).text == text


@pytest.mark.corpus
@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a ",
        '<a "',
        "<!--",
        "<!",
        "</",
        "<div>",
        "<div hidden>",
        "<p hidden></b>",
        "&#",
        "<?",
        "<a href=x>",
        "<a href='",
        "<base href=x>",
        "<a  href  =  ",
    ],
)
def test_a_hostile_page_costs_no_more_than_its_length(piece: str) -> None:
    short, long = (seconds_for(piece * (size // len(piece))) for size in (1 << 15, 1 << 18))
    assert long < 30 * short + 0.02, "eight times as long takes eight times, not sixty-four"


def seconds_for(html: str) -> float:
    took = []
    for _ in range(3):
        began = process_time()
        read_html(html)
        took.append(process_time() - began)
    return min(took)


def test_white_space_is_made_plain() -> None:
    assert clean(" a \t b\u00a0c \n\n \n d ") == "a b c\nd"


def test_links_are_those_that_can_be_seen() -> None:
    html = """<base href='/docs/'><a href="one?a=1&amp;b=2">The <b>one</b></a>
    <a name=x>no link</a><a href=two>open <a HREF='three' hidden>out of sight</a>
    <p hidden><a href=four>hidden</a></p><!-- <a href=five> --><a data-href=six>no</a>
    <a href=seven>"""
    read = read_html(html)
    assert read.base == "/docs/"
    assert [(link.href, link.text) for link in read.links] == [
        ("one?a=1&b=2", "The one"), ("two", "open"), ("seven", ""),
    ]  # fmt: skip
    assert len(read_html("<a href=x>y</a>" * 1000).links) == MOST_LINKS
