"""The law of throttling, for any course of events."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from openalgo_ws.bus.records import pack, topic_for
from tests.gateway.support import Rig, record

tick = st.just(("tick", 0))
burst = st.tuples(st.just("burst"), st.integers(2, 5))
wait = st.tuples(st.just("pass"), st.integers(1, 70))
who = st.integers(0, 2)
join = st.tuples(st.just("join"), who)
anything = st.one_of(
    tick, burst, wait, join, *(st.tuples(st.just(kind), who) for kind in ("leave", "block", "unblock"))
)


class Course:
    """Plays events to a router and three clients."""

    def __init__(self, interval: float) -> None:
        self.rig = Rig()
        self.interval = interval
        self.writers: list[Any] = [self.rig.writer() for _ in range(3)]
        self.held: dict[int, Any] = {}
        self.blocked: set[int] = set()
        self.value = 0.0

    def play(self, events: list[tuple[str, int]]) -> None:
        for kind, argument in events:
            getattr(self, kind.replace("pass", "wait"))(argument)
        for index in list(self.blocked):
            self.unblock(index)
        self.rig.clock.pump([0.1] * 20)

    def tick(self, _: int) -> None:
        self.burst(1)

    def burst(self, count: int) -> None:
        records = [record(self.value + index) for index in range(1, count + 1)]
        self.value += count
        self.rig.router.receive([(topic_for("f"), pack(records))])

    def wait(self, milliseconds: int) -> None:
        self.rig.clock.pump([0.001] * milliseconds)

    def join(self, index: int) -> None:
        if index not in self.held:
            self.held[index] = self.rig.hold(self.writers[index], throttle=self.interval)

    def leave(self, index: int) -> None:
        if index in self.held:
            self.rig.router.unsubscribe(self.writers[index], self.held.pop(index))

    def block(self, index: int) -> None:
        if index not in self.blocked:
            self.blocked.add(index)
            self.writers[index].paused = True
            self.rig.router.delivery.overflowed(self.writers[index])

    def unblock(self, index: int) -> None:
        if index in self.blocked:
            self.blocked.discard(index)
            self.writers[index].paused = False
            self.rig.router.delivery.drained(self.writers[index])

    def check(self) -> None:
        """In order, and the last value of every burst has arrived."""
        for index, writer in enumerate(self.writers):
            ltps = writer.ltps()
            assert ltps == sorted(ltps)
            if index in self.held and ltps:
                assert ltps[-1] == self.value


@settings(max_examples=150)
@given(st.lists(st.one_of(tick, burst, wait, join), max_size=40), st.sampled_from([0, 50, 80]))
def test_messages_keep_their_distance_and_the_last_arrives(
    events: list[tuple[str, int]], throttle_ms: int
) -> None:
    course = Course(throttle_ms / 1000)
    course.play([("join", 0), *events])
    course.check()
    for writer in course.writers:
        gaps = [later - earlier for (earlier, _), (later, _) in pairwise(writer.received)]
        assert all(gap >= course.interval - 1e-6 for gap in gaps), gaps
    if course.value:
        assert course.writers[0].ltps()[-1] == course.value


@settings(max_examples=150)
@given(st.lists(anything, max_size=40), st.sampled_from([0, 50, 80]))
def test_nothing_is_lost_when_clients_come_and_go_and_stall(
    events: list[tuple[str, int]], throttle_ms: int
) -> None:
    course = Course(throttle_ms / 1000)
    course.play([("join", 0), ("join", 1), *events])
    course.check()
    assert not [call for call in course.rig.clock.getDelayedCalls() if call.getTime() < 1.0]


def test_what_somebody_missed_who_has_left_is_told_to_nobody_who_comes_later() -> None:
    course = Course(0.05)
    course.play([("join", 0)])
    course.tick(0)
    course.wait(20)
    course.join(1)
    course.wait(40)
    # The window has passed, but not for the one who came later: it misses this tick, and leaves.
    course.tick(0)
    course.leave(1)
    course.tick(0)
    while course.writers[0].ltps()[-1] < 3.0:
        course.wait(1)
    course.join(2)
    course.wait(200)
    assert course.writers[0].ltps() == [1.0, 2.0, 3.0]
    assert course.writers[2].ltps() == [3.0]
