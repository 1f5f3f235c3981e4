"""Numbered messages: once each and in order, whatever is missing, comes twice or overtakes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from openalgo_ws.bus.sequence import Sequences

#: Longer than between two requests for the same (seconds).
LONG = 3.0


class End:
    """A receiving end, and what it did."""

    def __init__(self, most: int = 100) -> None:
        self.clock = Clock()
        self.came: list[int] = []
        self.asked: list[tuple[str, int]] = []
        self.sequences = Sequences(
            self.clock,
            lambda message: self.came.append(int(message[1])),
            lambda name, number: self.asked.append((name, number)),
            most=most,
        )
        self.sequences.up()

    def send(self, *numbers: int, name: str = "a") -> None:
        for number in numbers:
            self.sequences.came(name, number, (b"topic", b"%d" % number))

    def repeat(self, *numbers: int, name: str = "a") -> None:
        for number in numbers:
            self.sequences.repeated(name, number, (b"topic", b"%d" % number))

    def is_calm(self) -> bool:
        return not self.clock.getDelayedCalls() and self.sequences.waiting() == 0


def test_whoever_begins_in_the_middle_asks_for_nothing_old() -> None:
    end = End()
    end.send(5, 6)
    end.sequences.heard("a", 0, 7)
    end.sequences.heard("b", 0, 3)
    end.send(3, name="b")
    assert (end.came, end.asked) == ([5, 6, 3], [])
    assert end.is_calm()


def test_a_message_that_the_source_s_word_has_overtaken_comes_all_the_same() -> None:
    end = End()
    end.sequences.heard("a", 0, 7)
    end.send(5, 6, 7)
    assert (end.came, end.asked) == ([5, 6, 7], [])


def test_what_is_missing_is_asked_for_once_and_what_is_ahead_waits() -> None:
    end = End()
    end.send(0, 3, 5)
    assert (end.came, end.asked) == ([0], [("a", 1)])
    end.sequences.heard("a", 0, 6)
    end.repeat(1, 2, 3, 4, 5)
    end.send(4)
    assert (end.came, end.asked) == ([0, 1, 2, 3, 4, 5], [("a", 1)])
    assert end.is_calm()


def test_what_was_sent_last_is_missed_as_soon_as_the_source_says_where_it_is() -> None:
    end = End()
    end.send(0)
    end.sequences.heard("a", 0, 2)
    assert end.asked == [("a", 1)]
    end.repeat(1)
    assert end.came == [0, 1]
    assert end.is_calm()


def test_a_source_that_began_during_a_break_is_asked_for_everything() -> None:
    end = End()
    end.send(4)
    end.sequences.down()
    end.sequences.up()
    end.sequences.heard("b", 0, 2)
    end.send(2, name="c")
    assert end.asked == [("b", 0), ("c", 0)]
    end.repeat(0, 1, name="b")
    end.repeat(0, 1, 2, name="c")
    assert end.came == [4, 0, 1, 0, 1, 2]


def test_nobody_is_asked_during_a_break_but_after_it() -> None:
    end = End()
    end.send(0, 2)
    end.sequences.down()
    end.clock.advance(LONG)
    end.send(4)
    assert end.asked == [("a", 1)]
    end.sequences.up()
    assert end.asked == [("a", 1), ("a", 1)]
    end.repeat(1, 2, 3, 4)
    assert end.came == [0, 1, 2, 3, 4]


def test_a_source_that_does_not_answer_is_asked_three_times() -> None:
    end = End()
    end.send(0, 2, 5)
    for _ in range(2):
        end.clock.advance(LONG)
    assert (end.came, end.sequences.lost) == ([0], 0)
    end.clock.advance(LONG)
    # It is asked for the next gap, too.
    assert (end.came, end.sequences.lost) == ([0, 2], 1)
    assert end.asked == [("a", 1)] * 3 + [("a", 3)]
    for _ in range(3):
        end.clock.advance(LONG)
    assert (end.came, end.sequences.lost) == ([0, 2, 5], 3)
    end.send(6)
    # What it says again after all is too late.
    end.repeat(1, 3, 4)
    assert end.came == [0, 2, 5, 6]
    assert end.is_calm()


def test_what_the_source_does_not_have_any_more_is_lost_at_once() -> None:
    end = End()
    end.send(0, 2, 9)
    end.sequences.heard("a", 7, 10)
    assert (end.came, end.sequences.lost) == ([0, 2], 5)
    end.repeat(7, 8, 9)
    assert end.came == [0, 2, 7, 8, 9]
    assert end.is_calm()


def test_what_waits_is_bounded_and_what_had_no_room_is_asked_for() -> None:
    end = End(most=2)
    end.send(0, 2, 3, 4, 5)
    assert end.sequences.waiting() == 2
    end.repeat(1)
    assert end.came == [0, 1, 2, 3]
    end.clock.advance(LONG)
    assert end.asked == [("a", 1), ("a", 4)]
    end.repeat(4, 5)
    assert end.came == [0, 1, 2, 3, 4, 5]
    assert end.is_calm()


@given(st.data())
def test_everything_comes_once_and_in_order_while_the_source_has_it(data: st.DataObject) -> None:
    end = End(most=data.draw(st.integers(1, 5)))
    end.sequences.heard("a", 0, 0)
    total = data.draw(st.integers(1, 20))
    for number in range(total):
        match data.draw(st.sampled_from(["comes", "is lost", "comes later", "break"])):
            case "comes":
                end.send(number)
            case "comes later":
                end.sequences.heard("a", 0, number + 1)
                end.send(number)
            case "break":
                end.sequences.down()
                end.sequences.up()
        while end.asked and data.draw(st.booleans()):
            _, first = end.asked.pop()
            end.repeat(*range(first, number + 1))
    end.sequences.heard("a", 0, total)
    while not end.is_calm():
        end.asked.clear()
        end.clock.advance(LONG)
        for _, first in end.asked:
            end.repeat(*range(first, total))
    assert end.came == list(range(total))
    assert end.sequences.lost == 0
