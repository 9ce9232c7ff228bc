"""The numbered streams of a session, cut anywhere."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom.bridge import ProtocolError, Stream
from loom.bridge.stream import BATCH, KEPT, ranges


class End:
    """One end, and what has reached it."""

    def __init__(self) -> None:
        self.stream: Stream[int, int] = Stream()
        self.got: list[int] = []
        self.said = 0

    def say(self, count: int) -> None:
        for _ in range(count):
            self.stream.put(self.said)
            self.said += 1

    def frame(self) -> tuple[int, int, list[int]]:
        first, taken = self.stream.take()
        return first, self.stream.seen, taken

    def hear(self, frame: tuple[int, int, list[int]]) -> None:
        self.got += self.stream.accept(*frame)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.booleans(), st.integers(1, 400)),
        st.tuples(st.just("carry"), st.booleans(), st.just(0)),
        st.tuples(st.just("lose"), st.booleans(), st.just(0)),
        st.tuples(st.just("cut"), st.booleans(), st.just(0)),
    ),
    max_size=60,
)


@pytest.mark.feature("BRG-05")
@given(steps)
def test_whatever_is_cut_each_message_arrives_once_and_in_order(
    script: list[tuple[str, bool, int]],
) -> None:
    """A frame that was taken may get lost; then the line is cut, and both ends go on."""
    ends = End(), End()
    is_cut = False
    for act, which, count in script:
        here, there = (ends[0], ends[1]) if which else (ends[1], ends[0])
        if act == "say":
            here.say(count)
        elif act == "carry" and not is_cut:
            there.hear(here.frame())
        elif act == "lose":
            here.frame()
            is_cut = True
        elif act == "cut":
            is_cut = True
        if is_cut:
            for end, other in (ends, reversed(ends)):
                end.stream.rewind(other.stream.seen)
            is_cut = False
    for _ in range(200):
        for end, other in (ends, tuple(reversed(ends))):
            other.hear(end.frame())
    assert ends[0].got == list(range(ends[1].said))
    assert ends[1].got == list(range(ends[0].said))
    assert not ends[0].stream.is_full


def test_a_frame_holds_at_most_a_batch_and_says_where_it_begins() -> None:
    end = End()
    end.say(BATCH + 1)
    first, _, messages = end.frame()
    assert (first, len(messages)) == (1, BATCH)
    assert end.frame()[:1] == (BATCH + 1,)


def test_a_repeated_frame_changes_nothing() -> None:
    end = End()
    end.hear((1, 0, [0, 1]))
    end.hear((1, 0, [0, 1, 2]))
    assert end.got == [0, 1, 2]


def test_a_frame_without_a_number_follows_the_one_before() -> None:
    end = End()
    end.hear((0, 0, [0, 1]))
    end.hear((0, 0, [2]))
    assert end.got == [0, 1, 2]
    assert end.stream.seen == 3


@pytest.mark.parametrize(("first", "seen"), [(3, 0), (1, 5)])
def test_a_gap_and_what_was_never_sent_are_refused(first: int, seen: int) -> None:
    with pytest.raises(ProtocolError) as refused:
        End().hear((first, seen, [0]))
    assert refused.value.code == "INVALID_ARGUMENT"


def test_what_is_kept_is_bounded() -> None:
    end = End()
    end.say(KEPT - 1)
    assert not end.stream.is_full
    end.say(1)
    assert end.stream.is_full


@given(st.sets(st.integers(1, 50)))
def test_ranges_hold_exactly_what_they_were_made_of(numbers: set[int]) -> None:
    runs = ranges(list(numbers))
    assert {n for first, last in runs for n in range(first, last + 1)} == numbers
    assert all(one[1] + 1 < two[0] for one, two in itertools.pairwise(runs))
