from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from desk_text import (
    Stamp,
    analyse,
    digest_of,
    is_report,
    is_up_to_date,
    may_write,
    read_stamp,
    render,
    report_paths,
)

TEXT = """# Plan

Is the plan good? The plan is a good plan because it has been planned by the planners. Nobody has
another plan that is better than this plan. So the plan will be carried out as it was planned.

### Steps
- [ ] first *bold* step
- [x] second
## End
See <https://example.org/a_b>.
"""


def report(text: str, name: str = "plan.md") -> str:
    return render(analyse(text, name), Stamp(name, digest_of(text)))


def test_the_report_says_it_all() -> None:
    body = report(TEXT)
    assert body.startswith("---\ngenerator: desk 1\nsource: plan.md\nsha256: ")
    assert "about 1 min to read, English." in body
    assert "- Plan\n  - Steps\n  - End\n" in body
    assert "- [ ] first bold step\n- [x] second\n" in body
    assert "- Is the plan good?\n" in body
    assert "(<https://example.org/a_b>)" in body
    sections = [line for line in body.splitlines() if line.startswith("## ")]
    assert sections == [f"## {name}" for name in (
        "Summary", "Outline", "Key terms", "Tasks", "Open questions", "Links")]  # fmt: skip


def test_an_empty_document_has_a_short_report() -> None:
    assert report("").endswith("# plan\n\nA report on plan.md. It has no running text.\n")


def test_a_skipped_level_nests_by_one() -> None:
    outline = report("# a\n\n#### b\n\n## c\n").split("## Outline\n\n")[1]
    assert outline == "- a\n  - b\n  - c\n"


@given(st.text(max_size=200), st.sampled_from(["a.md", "b.txt", "c.rst"]))
def test_a_document_cannot_add_html_or_headings_to_its_report(text: str, name: str) -> None:
    text = text.replace("\0", "")
    known = {"Summary", "Outline", "Key terms", "Tasks", "Open questions", "Links"}
    body = report(text, name).split("---\n", 2)[2]
    tokens = MarkdownIt("commonmark").parse(body)
    headings = [b.content for a, b in pairwise(tokens) if a.tag == "h2"
                and a.type == "heading_open"]  # fmt: skip
    assert set(headings) <= known
    assert len(headings) == len(set(headings))
    inline = [child.type for token in tokens for child in token.children or []]
    assert "html_block" not in [token.type for token in tokens]
    assert "html_inline" not in inline


def test_the_stamp_is_read_back_whatever_the_line_ends() -> None:
    stamp = Stamp("dir/plan.md", digest_of(TEXT))
    body = render(analyse(TEXT, "plan.md"), stamp)
    assert read_stamp(body) == read_stamp(body.replace("\n", "\r\n")) == stamp


def test_a_file_of_the_user_has_no_stamp() -> None:
    assert read_stamp("---\ntitle: mine\n---\n") is None
    assert read_stamp("") is None


def test_the_digest_changes_with_the_content() -> None:
    assert digest_of("a") != digest_of("b")
    assert digest_of("\udcff")  # half a surrogate pair, as undecodable names yield


def test_names_of_reports() -> None:
    assert report_paths("inbox/a.b.txt") == ["inbox/a.b.report.md", "inbox/a.b.txt.report.md"]
    assert all(is_report(path) for path in report_paths("inbox/notes.md"))
    assert is_report("inbox/NOTES.REPORT.MD")
    assert not is_report("inbox/report.md")


def test_a_report_may_only_take_the_place_of_its_own() -> None:
    stamp, older = Stamp("plan.md", digest_of("new")), Stamp("plan.md", digest_of("old"))
    findings = analyse("new", "plan.md")
    assert may_write(None, stamp)
    assert may_write(render(findings, older), stamp)
    assert not may_write(render(findings, Stamp("plan.txt", older.digest)), stamp)
    assert not may_write("# my own notes\n", stamp)
    assert not may_write("", stamp)


def test_an_unchanged_document_has_its_report_already() -> None:
    stamp = Stamp("plan.md", digest_of("new"))
    assert is_up_to_date(render(analyse("new", "plan.md"), stamp), stamp)
    assert not is_up_to_date(render(analyse("old", "plan.md"), Stamp("plan.md", "0")), stamp)
    assert not is_up_to_date(None, stamp)
