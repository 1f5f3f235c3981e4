"""The clock of all throttles: each thing at its time, and a run comes to an end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from openalgo_ws.gateway.throttle import ThrottleClock

#: A hair before and after a slot (seconds): a timer may come so early, and be so late.
HAIR = 1e-9


class Patient:
    """Fired before its time it asks to be fired again, as a channel does whose window has not ended."""

    def __init__(self, throttle: ThrottleClock, due: float) -> None:
        self._throttle = throttle
        self.due = due
        self.fired: list[float] = []
        throttle.schedule(self, due)

    def fire(self, now: float) -> None:
        self.fired.append(now)
        assert len(self.fired) < 10, "there is no end to it"
        if now < self.due:
            self._throttle.schedule(self, self.due)


def test_who_is_fired_a_hair_early_and_asks_again_waits_for_the_next_timer() -> None:
    clock = Clock()
    throttle = ThrottleClock(clock, lambda: None)
    first, second = Patient(throttle, 0.049), Patient(throttle, 0.05)
    # The timer of the first is late, so that the second is all but due.
    clock.advance(0.05 - HAIR)
    assert len(first.fired) == 1
    assert len(second.fired) <= 1
    clock.advance(2 * HAIR)
    assert second.fired[-1] >= second.due
    assert throttle.waiting() == 0


times = st.builds(
    lambda slot, beside: max(0.0, slot * 0.001 + beside),
    st.integers(0, 30),
    st.sampled_from([0.0, HAIR, -HAIR, 1e-7, -1e-7, 5e-4]) | st.floats(-1e-3, 1e-3),
)


@given(dues=st.lists(times, min_size=1, max_size=20), looks=st.lists(times, max_size=20))
def test_everything_is_fired_when_it_is_due_and_not_long_before(
    dues: list[float], looks: list[float]
) -> None:
    clock = Clock()
    afters: list[float] = []
    throttle = ThrottleClock(clock, lambda: afters.append(clock.seconds()))
    things = [Patient(throttle, due) for due in dues]
    for at in sorted(looks):
        clock.advance(max(0.0, at - clock.seconds()))
        for thing in things:
            # At its time, or in the millisecond after it.
            assert thing.due > at - 0.002 or thing.fired
            assert not thing.fired or thing.fired[0] >= thing.due - 2e-6
    clock.pump([0.001] * 40)
    assert all(thing.fired[-1] >= thing.due for thing in things)
    assert throttle.waiting() == 0
    assert not clock.getDelayedCalls()
    # What was fired is told of once a run.
    assert len(afters) <= len(dues) + len({at for thing in things for at in thing.fired})
