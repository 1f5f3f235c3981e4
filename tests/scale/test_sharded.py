"""Sharded demand: wishes divided among several demands, their answers and news joined."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed

from openalgo_ws.bus.demand import DemandListener, Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.scale.sharded import ShardedDemand
from openalgo_ws.tick import Mode, Wish

LTP = Wish(Mode.LTP, 0)
QUOTE = Wish(Mode.QUOTE, 0)
CONNECTED = Status("toy", FeedState.CONNECTED)


class Shard:
    """A demand that grants everything but ``refused`` symbols, and answers when the test says so."""

    def __init__(self) -> None:
        self.held: Counter[Hold] = Counter()
        self.batches = 0
        self.refused: set[str] = set()
        self.watched: dict[str, bool] = {}
        self.state = CONNECTED
        self.slow = False
        self.waiting: list[tuple[Deferred[list[Granted | Denied]], list[Granted | Denied]]] = []
        self.brokers = ["toy", "zoo"]
        self.listener: DemandListener | None = None

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        self.batches += 1
        answers: list[Granted | Denied] = []
        for want in wants:
            if want.symbol in self.refused:
                answers.append(Denied("SYMBOL_NOT_FOUND", want.symbol, "toy"))
                continue
            answers.append(Granted(f"feed of {user}", "toy", want.wish))
            self.held[Hold(f"feed of {user}", want.symbol, want.exchange, want.wish)] += 1
        if not self.slow:
            return succeed(answers)
        deferred: Deferred[list[Granted | Denied]] = Deferred()
        self.waiting.append((deferred, answers))
        return deferred

    def answer(self) -> None:
        waiting, self.waiting = self.waiting, []
        for deferred, answers in waiting:
            deferred.callback(answers)

    def release(self, holds: Sequence[Hold]) -> None:
        self.held.subtract(holds)
        assert min(self.held.values()) >= 0, "given back to a shard that did not grant it"

    def status(self, user: str) -> Deferred[Status]:
        return succeed(self.state)

    def watch_orders(self, user: str, wanted: bool) -> None:
        self.watched[user] = wanted

    def feed_of(self, user: str) -> str | None:
        return None

    def supported_brokers(self) -> list[str]:
        return self.brokers

    def listen(self, listener: DemandListener) -> None:
        assert self.listener is None
        self.listener = listener

    def say(self, state: FeedState, *users: str) -> None:
        assert self.listener is not None
        self.state = Status("toy", state)
        self.listener.status_changed(users, self.state)


class Ear:
    def __init__(self) -> None:
        self.statuses: list[tuple[frozenset[str], FeedState]] = []
        self.refusals: list[tuple[str, str, str, str]] = []

    def status_changed(self, users: Collection[str], status: Status) -> None:
        self.statuses.append((frozenset(users), status.state))

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        self.refusals.append((feed, symbol, exchange, denied.code))


class Rig:
    def __init__(self, count: int = 3) -> None:
        self.shards = {f"feed-{n}": Shard() for n in range(count)}
        self.demand = ShardedDemand(self.shards)
        self.ear = Ear()
        self.demand.listen(self.ear)

    def subscribe(self, wants: Sequence[Want], user: str = "ann") -> list[Granted | Denied]:
        got: list[list[Granted | Denied]] = []
        self.demand.subscribe(user, wants).addCallback(got.append)
        assert got, "no answer yet"
        return got[0]

    def one_of(self, name: str) -> Want:
        """Something that this shard owns."""
        symbols = (f"S{n}" for n in range(1000))
        only = Rig(len(self.shards))
        for symbol in symbols:
            only.subscribe([Want(symbol, "NSE", LTP)])
            if any(hold.symbol == symbol for hold in only.shards[name].held):
                return Want(symbol, "NSE", LTP)
        raise AssertionError("it owns nothing")


def wants(count: int) -> list[Want]:
    return [Want(f"S{n}", "NSE", LTP) for n in range(count)]


def holds(wanted: Sequence[Want], answers: Sequence[Granted | Denied]) -> list[Hold]:
    return [
        Hold(answer.feed, want.symbol, want.exchange, answer.wish)
        for want, answer in zip(wanted, answers, strict=True)
        if isinstance(answer, Granted)
    ]


def test_every_shard_is_asked_once_for_its_part_and_the_answers_are_in_order() -> None:
    rig = Rig()
    asked = wants(60)
    for shard in rig.shards.values():
        shard.refused = {"S7", "S31"}

    answers = rig.subscribe(asked)

    denied = [place for place, answer in enumerate(answers) if isinstance(answer, Denied)]
    assert denied == [7, 31]
    assert [shard.batches for shard in rig.shards.values()] == [1, 1, 1]
    assert sum(len(shard.held) for shard in rig.shards.values()) == 58
    assert all(len(shard.held) > 5 for shard in rig.shards.values())


def test_the_answer_waits_for_the_slowest_shard() -> None:
    rig = Rig()
    slow = rig.shards["feed-1"]
    slow.slow = True
    asked = wants(30)
    got: list[list[Granted | Denied]] = []

    rig.demand.subscribe("ann", asked).addCallback(got.append)
    assert got == []
    slow.answer()

    assert [type(answer) for answer in got[0]] == [Granted] * 30


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from([LTP, QUOTE])), max_size=40))
def test_one_instrument_has_one_shard_and_what_was_granted_is_given_back_to_it(
    asked: list[tuple[int, Wish]],
) -> None:
    rig = Rig()
    wanted = [Want(f"S{n}", "NSE", wish) for n, wish in asked]
    answers = rig.subscribe(wanted) + rig.subscribe(wanted, "bob")

    for n in {n for n, _ in asked}:
        at = [s for s in rig.shards.values() if any(hold.symbol == f"S{n}" for hold in s.held)]
        assert len(at) == 1
    given_back = holds([*wanted, *wanted], answers)
    random.Random(len(asked)).shuffle(given_back)
    rig.demand.release(given_back)
    assert all(shard.held.total() == 0 for shard in rig.shards.values())


def test_nothing_wanted_is_answered_with_nothing() -> None:
    assert Rig().subscribe([]) == []


def test_the_status_is_that_of_the_worst_shard_that_serves() -> None:
    rig = Rig()
    got: list[FeedState] = []
    first, other = rig.one_of("feed-0"), rig.one_of("feed-1")
    rig.shards["feed-2"].say(FeedState.DISCONNECTED, "ann")
    held = holds([first, other], rig.subscribe([first, other]))

    rig.demand.status("ann").addCallback(lambda status: got.append(status.state))
    rig.shards["feed-0"].say(FeedState.CONNECTED, "ann")
    rig.shards["feed-1"].say(FeedState.STALE, "ann")
    rig.demand.status("ann").addCallback(lambda status: got.append(status.state))
    rig.demand.release(held[1:])
    rig.demand.status("ann").addCallback(lambda status: got.append(status.state))

    # The third shard serves nothing, so that it is not connected is no news about ann's feed.
    assert got == [FeedState.CONNECTED, FeedState.STALE, FeedState.CONNECTED]
    assert [state for _, state in rig.ear.statuses] == [
        FeedState.DISCONNECTED,
        FeedState.CONNECTED,
        FeedState.STALE,
        FeedState.CONNECTED,
    ]


def test_what_shards_say_of_several_users_is_told_once_to_each() -> None:
    rig = Rig(2)
    rig.shards["feed-0"].say(FeedState.CONNECTED, "ann", "bob")
    rig.shards["feed-1"].say(FeedState.CONNECTED, "ann", "bob")
    rig.shards["feed-1"].say(FeedState.RECONNECTING, "bob")

    assert rig.ear.statuses == [
        (frozenset({"ann", "bob"}), FeedState.CONNECTED),
        (frozenset({"bob"}), FeedState.RECONNECTING),
    ]


def test_a_refusal_is_passed_on() -> None:
    rig = Rig()
    listener = rig.shards["feed-2"].listener
    assert listener is not None

    listener.refused("feed of ann", "S1", "NSE", Denied("BROKER_ERROR", "no"))

    assert rig.ear.refusals == [("feed of ann", "S1", "NSE", "BROKER_ERROR")]


def test_a_users_orders_are_watched_by_one_shard() -> None:
    rig = Rig()
    for user in ("ann", "bob", "carol", "dave", "erin"):
        rig.demand.watch_orders(user, True)

    assert Counter(user for s in rig.shards.values() for user in s.watched) == Counter(
        ("ann", "bob", "carol", "dave", "erin")
    )
    rig.demand.watch_orders("ann", False)
    assert [s.watched["ann"] for s in rig.shards.values() if "ann" in s.watched] == [False]


def test_a_broker_is_supported_if_every_shard_speaks_to_it() -> None:
    rig = Rig()
    rig.shards["feed-1"].brokers = ["toy"]

    assert rig.demand.supported_brokers() == ["toy"]


def test_without_shards_there_is_no_demand() -> None:
    with pytest.raises(ValueError):
        ShardedDemand({})
