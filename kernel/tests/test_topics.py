"""Topics and patterns against a matcher so simple that it must be right."""

from __future__ import annotations

import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom_kernel import InvalidTopic, TopicMap, check_pattern, check_topic, matches

pytestmark = pytest.mark.feature("BUS-03")

tokens = st.sampled_from(["a", "b", "price", "ctrl+space", "fs:read_file"])
topics = st.lists(tokens, min_size=1, max_size=5).map(".".join)
wild = st.one_of(tokens, st.just("*"))
patterns = st.builds(
    lambda head, rest: ".".join([*head, *rest]),
    st.lists(wild, max_size=4),
    st.sampled_from([["a"], ["*"], [">"]]),
)


def naive(pattern: str, topic: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", r"[^.]+").replace(">", r".+")
    return re.fullmatch(expression, topic) is not None


@given(patterns, topics)
def test_matching_agrees_with_a_regular_expression(pattern: str, topic: str) -> None:
    assert matches(pattern, topic) == naive(pattern, topic)


@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove"]), patterns, st.integers(0, 3))),
    st.lists(topics, min_size=1, max_size=4),
)
def test_the_map_agrees_with_a_list_of_pairs(
    steps: list[tuple[str, str, int]], asked: list[str]
) -> None:
    found: TopicMap[int, set[int]] = TopicMap(lambda topic, entries: set(entries))
    pairs: dict[tuple[str, int], None] = {}
    for what, pattern, entry in steps:
        if what == "add":
            found.add(pattern, entry)
            pairs[pattern, entry] = None
        else:
            found.remove(pattern, entry)
            pairs.pop((pattern, entry), None)
        for topic in asked:
            assert found[topic] == {e for p, e in pairs if naive(p, topic)}


def test_an_entry_is_found_once_however_often_it_matches() -> None:
    found: TopicMap[str, list[str]] = TopicMap(lambda topic, entries: entries)
    for pattern in ("a.b", "a.*", "*.b", "a.>", ">"):
        found.add(pattern, "same")
    assert found["a.b"] == ["same"]


def test_what_is_remembered_is_bounded() -> None:
    found: TopicMap[str, list[str]] = TopicMap(lambda topic, entries: entries, bound=10)
    for number in range(1000):
        assert found[f"a.{number}"] == []
    assert len(found) <= 10


def test_patterns_that_are_gone_leave_no_memory_behind() -> None:
    found: TopicMap[str, list[str]] = TopicMap(lambda topic, entries: entries, bound=10)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(5000):
            for pattern in (f"{number}.a.b", f"{number}.*.b", f"{number}.>"):
                found.add(pattern, "x")
                found.remove(pattern, "x")
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


@given(st.text(max_size=12))
def test_any_text_is_a_topic_or_refused_by_name(text: str) -> None:
    is_right = re.fullmatch(r"[^\s.*>]+(\.[^\s.*>]+)*", text) is not None and text.isprintable()
    if is_right:
        assert check_topic(text) == text
    else:
        with pytest.raises(InvalidTopic) as refused:
            check_topic(text)
        assert refused.value.topic == text


@given(patterns)
def test_every_pattern_is_accepted(pattern: str) -> None:
    assert check_pattern(pattern) == pattern


@pytest.mark.parametrize("topic", [None, 3, b"a", ["a"]])
def test_what_is_no_text_is_refused(topic: object) -> None:
    with pytest.raises(InvalidTopic, match="not text"):
        check_topic(topic)  # type: ignore[arg-type]  # what a careless caller hands in


@pytest.mark.parametrize("size", [255, 256])
def test_the_length_is_bounded(size: int) -> None:
    if size <= 255:
        assert check_topic("x" * size)
    else:
        with pytest.raises(InvalidTopic, match="over 255"):
            check_topic("x" * size)
