"""The assignment: whose ticks count while an instrument moves, and when the move is over."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock

from openalgo_ws.feeds.assignment import Assignment
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.feeds.slot import Slot
from openalgo_ws.tick import Depth, Instrument, Mode, Tick, Wish

QUOTE, DEPTH = Wish(Mode.QUOTE), Wish(Mode.DEPTH)
ONE, TWO = Instrument("ONE", "NSE", "1"), Instrument("TWO", "NSE", "2")


class Rig:
    """An assignment between two slots, of which the first serves two instruments."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.voided: list[list[str]] = []
        self.arrivals = 0
        self.assignment = Assignment(
            self.clock,
            overlap=3.0,
            source_changed=lambda instruments: self.voided.append([i.symbol for i in instruments]),
            arrived=self.arrived,
        )
        self.old, self.new = self.slot(0), self.slot(1)
        for instrument in (ONE, TWO):
            self.assignment.assign(instrument, self.old, QUOTE, 1)
        self.rise(self.old)

    def arrived(self) -> None:
        self.arrivals += 1

    def slot(self, number: int) -> Slot:
        connection = SimpleNamespace()
        return Slot(SimpleNamespace(), number, SimpleNamespace(), lambda feed, slot: connection, self.clock)

    def rise(self, slot: Slot) -> float | None:
        slot.state = S.LIVE
        return self.assignment.rose(slot)

    def fall(self, slot: Slot) -> None:
        slot.state = S.BACKING_OFF
        self.assignment.fell(slot)

    def move(self, *instruments: Instrument) -> None:
        for instrument in instruments or (ONE, TWO):
            self.assignment.move(instrument, self.new, DEPTH, 3)

    def count(self, slot: Slot, *ticks: Tick) -> list[str]:
        """The symbols of the ticks that count, of those that come on a slot."""
        if not slot.sift:
            return [tick.instrument.symbol for tick in ticks]
        return [tick.instrument.symbol for tick in self.assignment.sifted(slot, ticks)]

    @property
    def homes(self) -> list[Slot | None]:
        return [self.assignment.home(ONE), self.assignment.home(TWO)]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def tick(instrument: Instrument, ltp: float | None = 1.0, **fields: object) -> Tick:
    return Tick(instrument, Mode.QUOTE, ltp=ltp, **fields)


def test_nothing_is_looked_at_while_nothing_moves(rig: Rig) -> None:
    assert not rig.old.sift
    assert rig.homes == [rig.old, rig.old]
    assert rig.assignment.carriers(ONE) == [rig.old]
    assert rig.clock.getDelayedCalls() == []


def test_both_carry_what_moves_and_the_old_one_serves_until_the_first_tick_of_the_new_one(
    rig: Rig,
) -> None:
    rig.rise(rig.new)
    rig.move()
    assert rig.assignment.carriers(ONE) == [rig.old, rig.new]
    assert rig.count(rig.old, tick(ONE), tick(TWO)) == ["ONE", "TWO"]
    assert rig.count(rig.new, tick(ONE)) == ["ONE"]
    assert rig.homes == [rig.new, rig.old]
    assert rig.voided == [["ONE"]]
    assert rig.arrivals == 1
    assert rig.count(rig.old, tick(ONE), tick(TWO)) == ["TWO"]
    assert (rig.old.held, rig.new.incoming) == ({TWO: (QUOTE, 1)}, 1)


@pytest.mark.parametrize(
    ("first", "counts"),
    [(tick(ONE, None), []), (tick(ONE, None, volume=4), []), (tick(ONE, None, depth=Depth([], [])), ["ONE"])],
)
def test_a_tick_without_price_or_book_makes_no_switch(rig: Rig, first: Tick, counts: list[str]) -> None:
    rig.rise(rig.new)
    rig.move()
    assert rig.count(rig.new, first) == counts


def test_all_that_arrives_with_one_frame_is_told_at_once(rig: Rig) -> None:
    rig.rise(rig.new)
    rig.move()
    assert rig.count(rig.new, tick(ONE), tick(TWO), tick(ONE)) == ["ONE", "TWO", "ONE"]
    assert (rig.voided, rig.arrivals) == ([["ONE", "TWO"]], 1)
    assert not rig.new.sift


def test_the_overlap_ends_so_long_after_both_live(rig: Rig) -> None:
    rig.move()
    rig.clock.advance(10)
    assert rig.homes == [rig.old, rig.old]
    rig.rise(rig.new)
    rig.clock.advance(2.9)
    assert rig.homes == [rig.old, rig.old]
    rig.clock.advance(0.2)
    assert rig.homes == [rig.new, rig.new]
    assert (rig.voided, rig.arrivals) == ([["ONE", "TWO"]], 1)


def test_what_joins_a_move_later_does_not_prolong_it(rig: Rig) -> None:
    rig.rise(rig.new)
    rig.move(ONE)
    rig.clock.advance(2)
    rig.move(TWO)
    rig.clock.advance(1.1)
    assert rig.homes == [rig.new, rig.new]


def test_a_target_that_falls_is_waited_for(rig: Rig) -> None:
    rig.rise(rig.new)
    rig.move()
    rig.fall(rig.new)
    assert rig.clock.getDelayedCalls() == []
    assert rig.homes == [rig.old, rig.old]
    rig.rise(rig.new)
    rig.clock.advance(3)
    assert rig.homes == [rig.new, rig.new]


def test_if_the_old_one_falls_everything_has_arrived_and_the_gap_is_counted_from_there(rig: Rig) -> None:
    rig.move()
    rig.clock.advance(1)
    rig.fall(rig.old)
    assert rig.homes == [rig.new, rig.new]
    assert rig.voided[0] == ["ONE", "TWO"]
    rig.clock.advance(1.5)
    assert rig.rise(rig.new) == 1.5
    assert rig.rise(rig.old) is None


def test_from_a_slot_that_is_down_an_instrument_moves_at_once_and_takes_the_gap_along(rig: Rig) -> None:
    rig.fall(rig.old)
    assert rig.voided == [["ONE", "TWO"]]
    rig.clock.advance(2)
    rig.move(ONE)
    assert rig.homes == [rig.new, rig.old]
    assert rig.old.left is False
    rig.clock.advance(1)
    assert rig.rise(rig.new) == 3.0


def test_dropped_on_its_way_it_is_gone_from_both(rig: Rig) -> None:
    rig.move()
    rig.assignment.drop(ONE)
    assert rig.assignment.carriers(ONE) == []
    assert set(rig.old.held) == set(rig.new.held) == {TWO}
    assert rig.new.incoming == 1
    rig.assignment.drop(ONE)


def test_called_off_it_stays_where_it_was(rig: Rig) -> None:
    rig.move()
    rig.assignment.call_off(rig.new)
    assert rig.homes == [rig.old, rig.old]
    assert (rig.new.held, rig.new.incoming, rig.new.load) == ({}, 0, 0)
    assert rig.voided == []


def test_finished_it_has_arrived_without_a_tick(rig: Rig) -> None:
    rig.move()
    rig.assignment.finish_moves()
    assert rig.homes == [rig.new, rig.new]
    assert not rig.old.held


def test_handed_over_goes_what_is_served_as_far_as_there_is_room(rig: Rig) -> None:
    three = Instrument("THREE", "NSE", "3")
    rig.assignment.assign(three, rig.old, QUOTE, 2)
    rig.move(ONE)
    rig.fall(rig.new)
    rig.old.state = S.AUTH_FAILED
    rig.assignment.hand_over(rig.old, lambda cost: rig.new if cost == 1 else None)
    assert rig.homes == [rig.old, rig.new]
    assert rig.assignment.home(three) is rig.old


def test_what_comes_on_a_dismissed_slot_counts_for_nothing(rig: Rig) -> None:
    rig.rise(rig.new)
    rig.move()
    rig.assignment.finish_moves()
    rig.assignment.dismissed(rig.old)
    assert rig.count(rig.old, tick(ONE), tick(TWO)) == []


@pytest.mark.parametrize("end", ["clear", "dismissed"])
def test_no_timer_is_left(rig: Rig, end: str) -> None:
    rig.rise(rig.new)
    rig.move()
    if end == "clear":
        rig.assignment.clear()
        assert rig.homes == [None, None]
    else:
        rig.assignment.dismissed(rig.new)
    assert rig.clock.getDelayedCalls() == []
