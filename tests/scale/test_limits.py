"""Limits of all workers together, each worker telling the others what it has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from openalgo_ws.gateway.limits import Counter, FailureWindow
from openalgo_ws.scale import control as c
from openalgo_ws.scale.member import SharedLimits

CAP = 3


class Worker:
    """A gateway's limits; what it tells is kept until it is carried to the others."""

    def __init__(self, clock: Clock) -> None:
        self.context = SimpleNamespace(
            by_address=Counter[str](CAP),
            by_user=Counter[str](CAP),
            failures=FailureWindow(2, 60.0),
            elsewhere=0,
        )
        self.clients: set[int] = set()
        gateway: Any = SimpleNamespace(context=self.context, factory=self)
        self.told: list[c.Counted] = []
        self.limits = SharedLimits(clock, gateway, self.told.append)


class Workers:
    def __init__(self, count: int = 3) -> None:
        self.clock = Clock()
        self.all = [Worker(self.clock) for _ in range(count)]

    def settle(self) -> None:
        """Let everybody hear what the others have."""
        self.clock.advance(0.1)
        for number, worker in enumerate(self.all):
            worker.limits.connections()
            told, worker.told[:] = list(worker.told), []
            for message in told:
                for other in self.all:
                    if other is not worker:
                        other.limits.others(c.Counted(message.kind, message.key, message.count, str(number)))


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("ab"), st.booleans()), max_size=40))
def test_what_all_hold_never_exceeds_the_cap(steps: list[tuple[int, str, bool]]) -> None:
    workers = Workers()
    held = {"a": 0, "b": 0}
    for number, user, comes in steps:
        counter = workers.all[number].context.by_user
        if comes:
            assert counter.take(user) == (held[user] < CAP)
            held[user] = min(CAP, held[user] + 1)
        elif counter.held(user):
            counter.give(user)
            held[user] -= 1
        workers.settle()
    assert not workers.clock.getDelayedCalls()


def test_what_a_worker_that_is_gone_had_counts_no_more() -> None:
    first, second, _ = (workers := Workers()).all
    for _ in range(CAP):
        assert first.context.by_address.take("192.0.2.1")
    first.clients = {1, 2}
    workers.settle()
    assert not second.context.by_address.take("192.0.2.1")
    assert second.context.elsewhere == 2
    second.limits.forget("0")
    assert second.context.by_address.take("192.0.2.1")
    assert second.context.elsewhere == 0


def test_failures_add_up() -> None:
    first, second, third = (workers := Workers()).all
    first.context.failures.add("192.0.2.1", 0.0)
    second.context.failures.add("192.0.2.1", 0.0)
    workers.settle()
    assert all(one.context.failures.exceeded("192.0.2.1", 0.1) for one in (first, second, third))
    # What was heard is not told again.
    assert not any(one.told for one in (first, second, third))


def test_a_timer_is_not_left_behind() -> None:
    (worker, *_) = (workers := Workers()).all
    worker.context.by_user.take("a")
    worker.limits.stop()
    assert not workers.clock.getDelayedCalls()
