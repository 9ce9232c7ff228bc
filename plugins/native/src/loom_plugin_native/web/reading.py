"""HTML as text to read: what a person would see, without what only a browser wants.

One pass over the text, whose cost grows with its length only, whatever a hostile page holds. It is
no parser of documents: broken markup gives odd text, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import msgspec

MOST = 2 << 20
"""Characters of a page that are looked at."""
MOST_LINKS = 200
LONGEST_LINK = 4096
LONGEST_WORDS = 200
_SKIPPED = {
    "script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas",
    "select", "textarea", "audio", "video", "dialog",
}  # fmt: skip
_RAW = {"script", "style", "textarea", "title", "iframe", "noscript"}
"""Elements whose content is no markup up to their own end tag."""
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "legend", "li", "main", "nav", "ol", "option", "p", "pre", "section", "summary",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
}  # fmt: skip
_VOID = {
    "br",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "track",
    "wbr",
    "col",
    "base",
    "area",
}
_TAG = re.compile(
    r"""<(/?)([a-zA-Z][a-zA-Z0-9:-]{0,30})((?:[^<>"']++|"[^"<]*+"|'[^'<]*+'|["'])*+)>"""
)
_HIDDEN = re.compile(
    r"""(?:^|\s)hidden(?:[\s=/]|$)|aria-hidden\s*=\s*["']?true"""
    r"""|display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])""",
    re.IGNORECASE,
)
_HREF = re.compile(
    r"""(?:^|\s)href\s{0,9}=\s{0,9}(?:"([^"]*+)"|'([^']*+)'|([^\s"'>]++))""", re.IGNORECASE
)
_INVISIBLE = re.compile(
    r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
_SPACE = re.compile(r"[^\S\n]+")
_LINES = re.compile(r"\s*\n\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Link(msgspec.Struct, frozen=True):
    """Where a page leads, as it writes it, and the words that lead there."""

    href: str
    text: str


class Text(msgspec.Struct, frozen=True):
    """What a page says."""

    title: str
    text: str
    links: tuple[Link, ...] = ()
    """The first ones that can be seen."""
    base: str = ""
    """What its links are relative to, if it says so."""


class _Links:
    """Collects links while *parts* of text are."""

    def __init__(self, parts: list[str]) -> None:
        self.found: list[Link] = []
        self.base = ""
        self._parts = parts
        self._href = ""
        self._start = 0

    def open(self, name: str, attributes: str) -> None:
        """Note the beginning of an element."""
        if name == "a":
            self.close()  # one link is never within another
        if name not in ("a", "base") or not (href := _HREF.search(attributes[:LONGEST_LINK])):
            return
        target = unescape(next(filter(None, href.groups()), "")).strip()
        if name == "base":
            self.base = self.base or target
            return
        self._href, self._start = target, len(self._parts)

    def close(self) -> None:
        """Note the end of a link; nothing happens if none is open."""
        if self._href and len(self.found) < MOST_LINKS:
            words = clean("".join(self._parts[self._start :])).replace("\n", " ")
            self.found.append(Link(self._href, words[:LONGEST_WORDS]))
        self._href = ""


def read_html(html: str) -> Text:
    """The title of *html*, its text with one line a paragraph, item or cell, and its links."""
    title: list[str] = []
    parts: list[str] = []
    links = _Links(parts)
    hidden: list[str] = []
    is_kept = False  # line ends mean something inside <pre> only
    for kind, name, content in _tokens(html[:MOST]):
        if kind == "title":
            title.append(content)
        elif kind == "text":
            if not hidden:
                parts.append(content if is_kept else content.replace("\n", " "))
        elif kind == "open":
            is_kept = is_kept or name == "pre"
            if hidden or name in _SKIPPED or _HIDDEN.search(content[:2000]):
                parts.append("\n" if name in _BLOCKS else "")
                if name not in _VOID and not content.endswith("/") and len(hidden) < 1000:
                    hidden.append(name)
            else:
                links.open(name, content)
                parts.append("\n" if name in _BLOCKS else "")
        elif hidden:
            _close(hidden, name)
        else:
            is_kept = is_kept and name != "pre"
            parts.append("\n" if name in _BLOCKS else "")
            if name == "a":
                links.close()
    links.close()
    said = clean("".join(title[:1])).replace("\n", " ")[:500]
    return Text(said, clean("".join(parts)), tuple(links.found), links.base)


def clean(text: str) -> str:
    """*text* with its references resolved, without what cannot be seen, and with plain spaces."""
    text = _INVISIBLE.sub("", unescape(text))
    text = _SPACE.sub(" ", _CONTROL.sub(" ", text))
    return _LINES.sub("\n", text).strip()


def strip_tags(text: str) -> str:
    """*text* of one line, without its tags."""
    return read_html(text).text.replace("\n", " ")


def _close(hidden: list[str], name: str) -> None:
    """End the innermost hidden *name*, and all within it; an end without a beginning is ignored."""
    if name in hidden[-50:]:
        while hidden.pop() != name:
            continue


def _tokens(html: str) -> Iterator[tuple[str, str, str]]:
    """(kind, name, content): text, title, open and close."""
    lower = html.lower() if len(html.lower()) == len(html) else html
    place, is_open_comment_possible = 0, True
    while (begin := html.find("<", place)) >= 0:
        yield "text", "", html[place:begin]
        if is_open_comment_possible and html.startswith("<!--", begin):
            end = html.find("-->", begin + 4)
            is_open_comment_possible = end >= 0
            place = end + 3 if end >= 0 else begin + 4
            continue
        tag = _TAG.match(html, begin)
        if tag is None:
            place = _after_odd(html, begin)
            if place == begin + 1:
                yield "text", "", "<"
            continue
        place = tag.end()
        name = tag[2].lower()
        if not tag[1] and name in _RAW:
            end = lower.find(f"</{name}", place)
            inside = html[place : end if end >= 0 else len(html)]
            if name == "title":
                yield "title", name, inside
            place = end if end >= 0 else len(html)
            if end >= 0:
                close = html.find(">", end)
                place = close + 1 if close >= 0 else len(html)
            continue
        yield ("close" if tag[1] else "open"), name, tag[3]
    yield "text", "", html[place:]


def _after_odd(html: str, begin: int) -> int:
    """Where to go on after a `<` that begins no tag: `<!DOCTYPE …>`, `<?…>`, or a mere sign."""
    if html.startswith(("<!", "<?"), begin):
        end = html.find(">", begin, begin + 2000)
        return end + 1 if end >= 0 else begin + 2
    return begin + 1
