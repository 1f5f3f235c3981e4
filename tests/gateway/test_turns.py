"""Work in slices, on a clock that its steps move on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from openalgo_ws.gateway.turns import Turns


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Work:
    """So many steps of 0.3 ms; ``log`` is told of each."""

    def __init__(self, clock: Clock, turns: Turns, log: list[str], name: str, steps: int) -> None:
        self._clock, self._log, self._name, self._steps = clock, log, name, steps
        self.done = Deferred.fromCoroutine(turns.run(self._all()))

    def _all(self) -> Iterator[None]:
        for _ in range(self._steps):
            self._clock.rightNow += 0.0003
            self._log.append(self._name)
            yield


def turn(clock: Clock) -> float:
    """One turn of the reactor; how long it took."""
    begin = clock.seconds()
    due = [call for call in clock.getDelayedCalls() if call.getTime() <= begin]
    for call in due:
        clock.calls.remove(call)
        call.func()
    return clock.seconds() - begin


def test_little_work_is_done_at_once(clock: Clock) -> None:
    log: list[str] = []
    work = Work(clock, Turns(clock), log, "a", 3)
    assert work.done.called
    assert log == ["a"] * 3
    turn(clock)
    assert clock.getDelayedCalls() == []


def test_much_work_is_divided_and_all_is_done(clock: Clock) -> None:
    log: list[str] = []
    work = Work(clock, Turns(clock), log, "a", 100)
    took = []
    while not work.done.called:
        assert clock.getDelayedCalls()
        took.append(turn(clock))
    assert len(log) == 100
    assert len(took) > 5
    # A share of a millisecond may end a step late.
    assert max(took) < 0.0045
    turn(clock)
    assert clock.getDelayedCalls() == []


def test_what_comes_in_one_turn_has_one_slice(clock: Clock) -> None:
    log: list[str] = []
    turns = Turns(clock)
    works = [Work(clock, turns, log, "a", 3) for _ in range(50)]
    assert 4 <= sum(work.done.called for work in works) < 10
    assert clock.seconds() < 0.0055
    while not all(work.done.called for work in works):
        assert turn(clock) < 0.0055
    assert len(log) == 150


def test_little_work_does_not_wait_for_much(clock: Clock) -> None:
    log: list[str] = []
    turns = Turns(clock)
    long = [Work(clock, turns, log, "long", 400) for _ in range(10)]
    for _ in range(5):
        turn(clock)
    # All of them have had a share by now.
    short = Work(clock, turns, log, "short", 1)
    turn(clock)
    assert short.done.called
    assert not any(work.done.called for work in long)


def test_much_work_goes_on_however_much_little_comes(clock: Clock) -> None:
    log: list[str] = []
    turns = Turns(clock)
    long = Work(clock, turns, log, "long", 40)
    for _ in range(20):
        for _ in range(50):
            Work(clock, turns, log, "short", 2)
        turn(clock)
    assert long.done.called


def test_what_fails_is_told_and_the_others_go_on(clock: Clock) -> None:
    log: list[str] = []
    turns = Turns(clock)

    def wrong() -> Iterator[None]:
        yield
        clock.rightNow += 0.01
        yield
        raise LookupError

    failing = Deferred.fromCoroutine(turns.run(wrong()))
    other = Work(clock, turns, log, "other", 3)
    while not other.done.called:
        turn(clock)
    problems: list[object] = []
    failing.addErrback(lambda failure: problems.append(failure.type))
    assert problems == [LookupError]


def test_nothing_is_left_undone_at_the_end(clock: Clock) -> None:
    log: list[str] = []
    turns = Turns(clock)
    works = [Work(clock, turns, log, "a", 100) for _ in range(3)]
    turn(clock)
    turns.stop()
    works.append(Work(clock, turns, log, "b", 100))
    assert all(work.done.called for work in works)
    assert len(log) == 400
    assert clock.getDelayedCalls() == []
