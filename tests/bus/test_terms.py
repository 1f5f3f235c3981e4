"""Whose ticks of a feed count: terms that follow one another, late ticks, a store that counts anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from openalgo_ws.bus.terms import PATIENCE, Terms

FEED = b"alice"


class Seen:
    """Terms on a clock, and what they told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.anew: list[bytes] = []
        self.terms = Terms(self.clock, self.anew.append)

    def counts(self, *terms: int, feed: bytes = FEED) -> list[bool]:
        return [self.terms.counts(feed, term) for term in terms]


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_a_later_term_follows_and_the_earlier_counts_no_more(seen: Seen) -> None:
    assert seen.counts(7, 7, 9, 7, 9, 8, 10) == [True, True, True, False, True, False, True]
    assert seen.anew == []


def test_each_feed_has_its_own(seen: Seen) -> None:
    assert seen.counts(9) == [True]
    assert seen.counts(3, feed=b"bob") == [True]
    assert seen.counts(3) == [False]


def test_an_earlier_term_that_goes_on_is_the_present_one(seen: Seen) -> None:
    seen.counts(5000)
    seen.counts(5000, feed=b"bob")
    assert seen.counts(1) == [False]
    seen.clock.advance(PATIENCE - 0.1)
    assert seen.counts(1, 2) == [False, False]
    seen.clock.advance(0.1)
    assert seen.counts(2, 2, 1) == [True, True, False]
    assert seen.anew == [FEED]
    assert seen.counts(1, feed=b"bob") == [False]


def test_it_does_not_go_on_while_the_later_is_heard(seen: Seen) -> None:
    seen.counts(9)
    for _ in range(10):
        assert seen.counts(4, 9) == [False, True]
        seen.clock.advance(PATIENCE - 0.1)
    assert seen.counts(4) == [False]


@given(terms=st.lists(st.integers(0, 20)))
def test_within_the_patience_none_counts_after_a_later_one(terms: list[int]) -> None:
    seen = Seen()
    passed = [term for term in terms if seen.counts(term) == [True]]
    assert passed == [term for index, term in enumerate(terms) if term >= max(terms[: index + 1])]


def test_what_is_remembered_is_bounded(seen: Seen) -> None:
    seen.counts(9, 4)
    for number in range(10_000):
        seen.counts(1, feed=b"%d" % number)
    # It is not known any more, nor that an earlier term was heard.
    assert seen.counts(4) == [True]
    assert seen.anew == []
