"""Leadership by a lease: when it begins and ends, on a clock and with a store that the test answers for."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from openalgo_ws.scale.lease import Lease, LeaseStoreAway

TTL = 5.0


class Shared:
    """The mark that all see. It vanishes by the clock of the store."""

    def __init__(self) -> None:
        self._clock = Clock()
        self.advance = self._clock.advance
        self.owner: str | None = None
        self._until = 0.0
        self._number = 0

    def take(self, name: str) -> int | None:
        if self.owner not in (None, name) and self._clock.seconds() < self._until:
            return None
        self.owner, self._until = name, self._clock.seconds() + TTL
        self._number += 1
        return self._number


class Store:
    """One process' way to it."""

    def __init__(self, shared: Shared, name: str) -> None:
        self._shared = shared
        self._name = name
        self.away = False
        #: With a list here answers wait until they are called for.
        self.waiting: list[tuple[Deferred[int | None], int | None]] | None = None

    def take(self) -> Deferred[int | None]:
        if self.away:
            return fail(LeaseStoreAway("it is away"))
        answer = self._shared.take(self._name)
        if self.waiting is None:
            return succeed(answer)
        deferred: Deferred[int | None] = Deferred()
        self.waiting.append((deferred, answer))
        return deferred

    def give_back(self) -> Deferred[None]:
        if self.away:
            return fail(LeaseStoreAway("it is away"))
        if self._shared.owner == self._name:
            self._shared.owner = None
        return succeed(None)


class World:
    """Processes that want the lease, and who leads."""

    def __init__(self) -> None:
        #: A process that is gone has none any more.
        self.clocks: dict[str, Clock] = {}
        self.shared = Shared()
        self.stores: dict[str, Store] = {}
        self.leases: dict[str, Lease] = {}
        self.leading: list[str] = []
        self.terms: list[str] = []

    def process(self, name: str) -> None:
        store = self.stores[name] = Store(self.shared, name)

        def gained() -> None:
            self.leading.append(name)
            self.terms.append(name)
            assert len(self.leading) == 1, self.leading

        clock = self.clocks[name] = Clock()
        self.leases[name] = Lease(
            clock, store, ttl=TTL, gained=gained, lost=lambda: self.leading.remove(name)
        )
        self.leases[name].start()

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 100)):
            self.shared.advance(0.01)
            for clock in self.clocks.values():
                clock.advance(0.01)


@pytest.fixture
def world() -> World:
    world = World()
    world.process("one")
    world.process("two")
    return world


def test_the_first_leads_and_goes_on_leading(world: World) -> None:
    world.run(60)
    assert world.terms == ["one"]
    assert world.leases["one"].held
    assert not world.leases["two"].held


def test_another_takes_over_when_it_dies(world: World) -> None:
    world.run(7)
    world.leading.remove("one")
    del world.clocks["one"]
    world.run(TTL + TTL / 3 + 0.1)
    assert world.leading == ["two"]


def test_who_can_not_renew_ceases_before_another_begins(world: World) -> None:
    world.run(7)
    world.stores["one"].away = True
    # `World.process` looks that they never lead together.
    world.run(20)
    assert world.terms == ["one", "two"]
    world.stores["one"].away = False
    world.run(20)
    assert world.leading == ["two"]


def test_a_store_that_is_away_for_a_moment_costs_nothing(world: World) -> None:
    world.run(7)
    for store in world.stores.values():
        store.away = True
    world.run(2)
    for store in world.stores.values():
        store.away = False
    world.run(20)
    assert world.terms == ["one"]


def test_each_term_has_a_larger_number(world: World) -> None:
    world.run(7)
    lease = world.leases["one"]
    first = lease.term
    # Renewals are of the same term.
    world.run(TTL)
    assert (lease.held, lease.term) == (True, first)
    world.stores["one"].away = True
    world.run(20)
    second = world.leases["two"].term
    assert second > first
    world.stores["one"].away = False
    world.leases["two"].stop()
    world.run(TTL)
    assert world.terms == ["one", "two", "one"]
    assert lease.term > second


def test_a_late_answer_counts_from_the_question(world: World) -> None:
    world.run(7)
    store = world.stores["one"]
    store.waiting = []
    while not store.waiting:
        world.run(0.1)
    (deferred, answer), store.waiting = store.waiting[0], None
    # The answer takes longer than what is left of the last grant: it has ceased meanwhile ...
    world.run(TTL)
    assert world.leading != ["one"]
    # ... and an answer that is too old does not make it lead again.
    deferred.callback(answer)
    assert "one" not in world.leading


def test_who_stops_hands_over(world: World) -> None:
    world.run(7)
    world.leases["one"].stop()
    assert world.leading == []
    world.run(TTL / 3 + 0.1)
    assert world.leading == ["two"]
    world.stores["two"].away = True
    stopped: list[None] = []
    world.leases["two"].stop().addCallback(stopped.append)
    assert stopped == [None]
    assert not any(clock.getDelayedCalls() for clock in world.clocks.values())
