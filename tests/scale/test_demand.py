"""The demand protocol: grants, reconnections, restarts of either side, bounds."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from openalgo_ws.bus.demand import Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.scale import messages as m
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.server import Bounds
from openalgo_ws.tick import Mode, Wish
from tests.scale.support import LTP, QUOTE, Heard, Link, Pair, hold, hold_of, want


@pytest.fixture
def pair() -> Pair:
    return Pair()


def test_grants_denials_and_what_is_given_back(pair: Pair) -> None:
    granted, denied = pair.subscribe(want("SBIN"), want("XYZ"))
    assert granted == Granted("feed of alice", "zerodha", LTP, price_scale=4)
    assert denied == Denied("SYMBOL_NOT_FOUND", "no such symbol", "zerodha")
    assert pair.demand.held == {hold("SBIN"): 1}
    assert pair.server.gateways() == {"one": 1}
    pair.gateway.release([hold("SBIN")])
    pair.link.run()
    assert not pair.demand.held


def test_what_many_clients_want_is_held_once(pair: Pair) -> None:
    pair.subscribe(want("SBIN"))
    pair.subscribe(want("SBIN"), want("TCS"))
    assert pair.demand.held == {hold("SBIN"): 1, hold("TCS"): 1}
    pair.gateway.release([hold("SBIN")])
    pair.link.run()
    assert pair.demand.held[hold("SBIN")] == 1
    pair.gateway.release([hold("SBIN")])
    pair.link.run()
    assert pair.demand.held == {hold("TCS"): 1}


def test_long_lists_travel_in_portions(pair: Pair) -> None:
    wants = [want(f"S{number}") for number in range(2 * m.PORTION + 1)]
    answers = pair.subscribe(*wants[:5], want("S" * 200), *wants[5:])
    assert len(answers) == len(wants) + 1
    assert answers[5] == Denied("SYMBOL_NOT_FOUND", "There is no instrument with so long a name")
    assert [len(asked) for _, asked in pair.demand.asked] == [m.PORTION, m.PORTION, 1]
    assert len(pair.demand.held) == len(wants)


def test_without_a_channel(pair: Pair) -> None:
    pair.subscribe(want("SBIN"))
    pair.link.cut()
    again, other = pair.subscribe(want("SBIN"), want("TCS"))
    assert again == Granted("feed of alice", "zerodha", LTP, pending=True, price_scale=4)
    assert isinstance(other, Denied)
    assert other.code == "BROKER_CONNECTION_ERROR"
    status = pair.gateway.status("alice")
    assert status.result.state is FeedState.RECONNECTING
    assert pair.heard.states[-1] == (("alice",), FeedState.RECONNECTING)
    pair.connect()
    # The feed is as it was, and both holds of it count.
    assert pair.heard.states[-1] == (("alice",), FeedState.CONNECTED)
    pair.gateway.release([hold("SBIN")])
    pair.link.run()
    assert pair.demand.held == {hold("SBIN"): 1}
    pair.gateway.release([hold("SBIN")])
    pair.link.run()
    assert not pair.demand.held


def test_a_gateway_that_does_not_return_loses_everything(pair: Pair) -> None:
    pair.subscribe(want("SBIN"))
    pair.gateway.watch_orders("alice", True)
    pair.link.run()
    assert pair.demand.watched() == {"alice"}
    pair.link.cut()
    pair.clock.advance(9.9)
    assert pair.demand.held
    assert pair.demand.watched() == {"alice"}
    pair.clock.advance(0.2)
    assert not pair.demand.held
    assert not pair.demand.watched()


def test_a_gateway_that_was_started_anew_begins_with_nothing(pair: Pair) -> None:
    pair.subscribe(want("SBIN"))
    pair.link.cut()
    pair.gateway = RemoteDemand(pair.clock, gateway="one", generation="2")
    pair.connect()
    assert not pair.demand.held
    assert pair.server.gateways() == {"one": 0}


def test_a_new_feed_process_is_asked_for_everything(pair: Pair) -> None:
    pair.subscribe(want("SBIN"), want("TCS", QUOTE))
    pair.subscribe(want("SBIN"))
    pair.subscribe(want("INFY"), user="bob")
    pair.gateway.watch_orders("bob", True)
    pair.link.run()
    pair.restart_feed()
    pair.gateway.release([hold("TCS", wish=QUOTE)])
    pair.connect()
    assert pair.demand.held == {hold("SBIN"): 1, hold("INFY", "bob"): 1}
    assert pair.demand.watched() == {"bob"}
    pair.gateway.release([hold("SBIN"), hold("SBIN")])
    pair.link.run()
    assert pair.demand.held == {hold("INFY", "bob"): 1}


def test_what_a_new_feed_process_refuses_is_reported(pair: Pair) -> None:
    pair.subscribe(want("SBIN"))
    pair.restart_feed()
    pair.demand._one = lambda user, wanted: Denied("BROKER_ERROR", "not logged in")
    pair.connect()
    assert pair.heard.refusals == [("feed of alice", "SBIN", "BROKER_ERROR")]
    # Giving it back is harmless.
    pair.gateway.release([hold("SBIN")])
    pair.link.run()
    assert not pair.demand.held


def test_what_is_given_back_while_it_is_asked_for_anew(pair: Pair) -> None:
    pair.subscribe(want("SBIN"))
    pair.restart_feed()
    pair.demand.slow = True
    pair.connect()
    pair.gateway.release([hold("SBIN")])
    pair.link.run()
    pair.demand.answer()
    assert not pair.demand.held


def test_an_answer_that_comes_after_the_channel_has_ended(pair: Pair) -> None:
    pair.demand.slow = True
    answers = []
    pair.gateway.subscribe("alice", [want("SBIN")]).addCallback(answers.extend)
    pair.link.run()
    pair.link.cut()
    assert [answer.code for answer in answers] == ["BROKER_CONNECTION_ERROR"]
    pair.connect()
    pair.demand.answer()
    assert not pair.demand.held


def test_two_gateways_hold_and_watch_for_themselves(pair: Pair) -> None:
    other = RemoteDemand(pair.clock, gateway="two", generation="1")
    heard = Heard()
    other.listen(heard)
    link = Link(pair.server, other)
    link.run()
    pair.subscribe(want("SBIN"))
    other.subscribe("bob", [want("SBIN")])
    for each in (pair.gateway, other):
        each.watch_orders("alice", True)
    link.run()
    pair.link.run()
    pair.server.status_changed(["alice"], Status("zerodha", FeedState.STALE))
    link.run()
    pair.link.run()
    assert pair.heard.states == [(("alice",), FeedState.STALE)]
    assert heard.states == []
    pair.link.cut()
    pair.clock.advance(11)
    assert pair.demand.held == {hold("SBIN", "bob"): 1}
    assert pair.demand.watched() == {"alice"}


def test_silence_ends_a_channel_on_both_sides() -> None:
    pair = Pair(Bounds(silence=20.0))
    pair.server.start()
    pair.clock.pump([5.0] * 5)
    assert not pair.link.open
    pair.server.stop()

    beating = RemoteDemand(pair.clock, gateway="two", generation="1", beat=5.0)
    link = Link(pair.server, beating)
    link.run()
    for _ in range(20):
        pair.clock.advance(5.0)
        link.run()
    assert beating.up
    # Nothing arrives any more, as from a process that hangs.
    pair.clock.pump([5.0] * 4)
    assert not beating.up
    assert not link.open


def test_what_is_bounded() -> None:
    pair = Pair(Bounds(channels=1, holds=2, requests=1, users=1, silence=1000.0))
    assert pair.server.connected(lambda data: None, lambda: None) is None
    answers = pair.subscribe(want("A"), want("B"), want("C"))
    assert [type(answer) for answer in answers] == [Granted, Granted, Denied]
    assert set(pair.demand.held) == {hold("A"), hold("B")}
    (refused,) = pair.subscribe(want("A"), user="bob")
    assert isinstance(refused, Denied)
    pair.demand.slow = True
    pair.gateway.subscribe("alice", [want("A")])
    (busy,) = pair.subscribe(want("A"))
    assert busy == Denied("RATE_LIMITED", "Too many requests are waiting")


@given(st.binary(max_size=200))
def test_nonsense_ends_the_channel_and_nothing_else(data: bytes) -> None:
    pair = Pair()
    pair.subscribe(want("SBIN"))
    try:
        m.decode_from_gateway(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pair.link.channel.received(data)
        assert not pair.link.open
        assert pair.demand.held
        pair.connect()
        assert pair.gateway.up


_words = st.text(max_size=8)
_wishes = st.builds(Wish, st.sampled_from(Mode), st.integers(0, 200))
_grants = st.builds(Granted, _words, st.none() | _words, _wishes, st.booleans(), st.integers(0, 9))
_answers = st.lists(_grants | st.builds(Denied, _words, _words, st.none() | _words), max_size=3)
_holds = st.builds(Hold, _words, _words, _words, _wishes)
_messages = st.one_of(
    st.builds(m.Hello, st.integers(0, 9), _words, _words),
    st.builds(m.Restore, _words, st.lists(st.tuples(_holds, st.integers(1, 9)), max_size=3)),
    st.builds(m.Subscribe, st.integers(0, 2**60), _words, st.lists(st.builds(Want, _words, _words, _wishes))),
    st.builds(m.Release, st.lists(_holds, max_size=3)),
    st.builds(m.WatchOrders, _words, st.booleans()),
)


@given(_messages)
def test_a_gateways_messages_arrive_as_they_were(message) -> None:
    assert m.decode_from_gateway(m.encode(message)) == message


@given(st.builds(m.Answers, st.integers(0, 2**60), _answers))
def test_the_feeds_messages_arrive_as_they_were(message) -> None:
    assert m.decode_from_feed(m.encode(message)) == message


class Demands(RuleBasedStateMachine):
    """Clients come and go, requests are slow, the channel ends, the feed process restarts: in the end the
    local demand holds exactly what clients hold."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.pair.demand.slow = True
        self.clients: Counter[Hold] = Counter()

    @rule(symbols=st.lists(st.sampled_from("ABX"), min_size=1, max_size=3), user=st.sampled_from(["a", "b"]))
    def subscribe(self, symbols: list[str], user: str) -> None:
        wants = [want(symbol) for symbol in symbols]

        def answered(answers: list[Granted | Denied]) -> None:
            self.clients.update(
                hold_of(wanted, answer)
                for wanted, answer in zip(wants, answers, strict=True)
                if isinstance(answer, Granted)
            )

        self.pair.gateway.subscribe(user, wants).addCallback(answered)

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        given_back = data.draw(st.sampled_from(sorted(self.clients, key=repr)))
        self.clients -= Counter([given_back])
        self.pair.gateway.release([given_back])

    @rule(times=st.integers(1, 5))
    def travel(self, times: int) -> None:
        for _ in range(times):
            self.pair.link.step()

    @rule()
    def answer(self) -> None:
        self.pair.demand.answer()

    @rule()
    def cut(self) -> None:
        self.pair.link.cut()

    @precondition(lambda self: not self.pair.link.open)
    @rule()
    def connect(self) -> None:
        self.pair.link = Link(self.pair.server, self.pair.gateway)

    @rule()
    def restart_feed(self) -> None:
        self.pair.restart_feed()
        self.pair.demand.slow = True

    @rule(seconds=st.floats(0.1, 11.0))
    def wait(self, seconds: float) -> None:
        self.pair.clock.advance(seconds)

    @rule()
    def settle(self) -> None:
        pair = self.pair
        if not pair.link.open:
            self.connect()
        moved = True
        while moved:
            moved = pair.link.step() or pair.demand.answer()
        assert pair.demand.held == dict.fromkeys(self.clients, 1)
        assert pair.gateway.up

    @invariant()
    def nothing_is_held_twice(self) -> None:
        assert all(count >= 1 for count in self.pair.demand.held.values())

    def teardown(self) -> None:
        self.settle()
        self.pair.gateway.release(list(self.clients.elements()))
        self.pair.link.run()
        assert not self.pair.demand.held


TestDemands = Demands.TestCase
