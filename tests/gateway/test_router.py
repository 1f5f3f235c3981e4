"""Routing, trimming, sharing, conflation: the delivery rules (client protocol 1.7) without sockets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.bus.records import pack, topic_for
from openalgo_ws.gateway import outbox
from openalgo_ws.gateway.channel import ChannelKey
from openalgo_ws.gateway.line import Source
from openalgo_ws.tick import Mode
from tests.gateway.support import Rig, record


@pytest.fixture(scope="module", params=["whole", "in pieces"], autouse=True)
def joined(request: pytest.FixtureRequest) -> Iterator[None]:
    """What gathers for a client is joined as a whole, or, as where it is much, in pieces."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "in pieces":
            patch.setattr(outbox, "_JOINED", 1)
        yield


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_tick_reaches_those_who_hold_it_and_nobody_else(rig: Rig) -> None:
    holder, other = rig.writer(), rig.writer()
    rig.hold(holder)
    rig.hold(other, "INFY")
    rig.publish(842.35)
    ((_, message),) = holder.received
    assert message == {
        "type": "market_data",
        "symbol": "SBIN",
        "exchange": "NSE",
        "mode": 1,
        "broker": "zerodha",
        "data": {"ltp": 842.35, "timestamp": 1_700_000_000_000},
    }
    assert other.received == []


def test_another_feeds_tick_is_not_for_us(rig: Rig) -> None:
    mine, theirs, untagged = rig.writer(), rig.writer(), rig.writer()
    rig.hold(mine, feed="alice")
    rig.hold(theirs, feed="bob")
    rig.hold(untagged, feed=UNTAGGED)
    rig.publish(1.0, feed="bob")
    rig.foreign(b"NSE_SBIN_LTP", {"ltp": 2.0})
    assert mine.ltps() == []
    assert theirs.ltps() == [1.0]
    assert untagged.ltps() == [2.0]


def test_a_feed_cannot_name_itself_untagged(rig: Rig) -> None:
    untagged = rig.writer()
    rig.hold(untagged, feed=UNTAGGED)
    rig.publish(1.0, feed=UNTAGGED)
    assert untagged.received == []
    assert rig.router.bus_stats.malformed == 1


def test_a_richer_tick_serves_poorer_subscriptions_trimmed(rig: Rig) -> None:
    writers = {mode: rig.writer() for mode in Mode}
    for mode, writer in writers.items():
        rig.hold(writer, mode=mode)
    rig.publish(100.0, mode=Mode.DEPTH)
    shown = {mode: writer.received[0][1] for mode, writer in writers.items()}
    assert [shown[mode]["mode"] for mode in Mode] == [1, 2, 3]
    assert set(shown[Mode.LTP]["data"]) == {"ltp", "timestamp"}
    assert "depth" not in shown[Mode.QUOTE]["data"]
    assert shown[Mode.QUOTE]["data"]["bid_price"] == 99.0
    assert len(shown[Mode.DEPTH]["data"]["depth"]["buy"]) == 5


def test_a_poorer_tick_does_not_pass_for_a_richer_one(rig: Rig) -> None:
    quote = rig.writer()
    rig.hold(quote, mode=Mode.QUOTE)
    rig.publish(1.0, mode=Mode.LTP)
    assert quote.received == []


def test_no_more_levels_than_granted(rig: Rig) -> None:
    five, twenty = rig.writer(), rig.writer()
    rig.hold(five, mode=Mode.DEPTH, levels=5)
    rig.hold(twenty, mode=Mode.DEPTH, levels=20)
    rig.publish(100.0, mode=Mode.DEPTH, levels=20)
    for writer, levels in ((five, 5), (twenty, 20)):
        for side in writer.received[0][1]["data"]["depth"].values():
            assert len(side) == levels
    assert five.received[0][1]["data"]["bid_price"] == 99.0


def test_one_symbol_in_two_modes_is_delivered_in_both(rig: Rig) -> None:
    writer = rig.writer()
    rig.hold(writer, mode=Mode.LTP)
    rig.hold(writer, mode=Mode.QUOTE)
    rig.publish(5.0, mode=Mode.QUOTE)
    assert sorted(message["mode"] for _, message in writer.received) == [1, 2]


def test_a_tick_is_encoded_once_however_many_take_it(rig: Rig) -> None:
    for _ in range(50):
        rig.hold(rig.writer())
    rig.publish(1.0)
    assert rig.router.stats.encoded == 1
    assert rig.router.stats.deliveries == 50


def test_nothing_is_encoded_for_nobody(rig: Rig) -> None:
    writer = rig.writer()
    channel = rig.hold(writer)
    rig.router.unsubscribe(writer, channel)
    rig.publish(1.0)
    assert rig.router.stats.encoded == 0


def test_the_last_value_comes_first_and_says_so(rig: Rig) -> None:
    rig.hold(rig.writer(), mode=Mode.QUOTE)
    rig.publish(7.0, mode=Mode.QUOTE)
    late = rig.writer()
    rig.hold(late)
    ((_, message),) = late.received
    assert message["snapshot"] is True
    assert message["data"]["ltp"] == 7.0
    rig.publish(8.0, mode=Mode.QUOTE)
    assert "snapshot" not in late.received[1][1]


def test_the_last_value_is_the_newest_that_fits_the_mode(rig: Rig) -> None:
    rig.hold(rig.writer(), mode=Mode.DEPTH)
    rig.publish(1.0, mode=Mode.DEPTH)
    rig.publish(2.0, mode=Mode.LTP)
    ltp, depth = rig.writer(), rig.writer()
    rig.hold(ltp, mode=Mode.LTP)
    rig.hold(depth, mode=Mode.DEPTH)
    assert ltp.ltps() == [2.0]
    assert depth.ltps() == [1.0]


def test_last_values_are_forgotten_after_a_while(rig: Rig) -> None:
    writer = rig.writer()
    for feed in ("f", UNTAGGED):
        channel = rig.hold(writer, feed=feed)
        rig.router.unsubscribe(writer, channel)
    rig.publish(1.0)
    rig.clock.pump([100.0] * 4)
    again = rig.writer()
    rig.hold(again)
    assert again.received == []


def test_nothing_of_a_symbol_after_it_was_unsubscribed(rig: Rig) -> None:
    writer, stays = rig.writer(), rig.writer()
    channel = rig.hold(writer, throttle=0.05)
    rig.hold(stays, throttle=0.05)
    rig.publish(1.0)
    rig.publish(2.0)
    rig.router.unsubscribe(writer, channel)
    rig.clock.advance(1.0)
    assert writer.ltps() == [1.0]
    assert stays.ltps() == [1.0, 2.0]


def test_clients_that_hold_the_same_come_to_share_an_outbox(rig: Rig) -> None:
    writers = [rig.writer() for _ in range(10)]
    for writer in writers:
        for symbol in ("SBIN", "INFY"):
            rig.hold(writer, symbol)
    rig.clock.pump([0.6] * 30)
    assert rig.router.delivery.outboxes() == 1
    rig.publish(1.0)
    rig.publish(2.0, "INFY")
    assert all(writer.ltps() == [1.0, 2.0] for writer in writers)

    # One of them wants something else: it alone gets it, and the others don't notice.
    rig.hold(writers[0], "TCS")
    rig.publish(3.0, "TCS")
    rig.publish(4.0)
    assert writers[0].ltps() == [1.0, 2.0, 3.0, 4.0]
    assert all(writer.ltps() == [1.0, 2.0, 4.0] for writer in writers[1:])
    assert rig.router.delivery.outboxes() == 2


def test_a_slow_client_leaves_the_others_alone_and_gets_the_latest(rig: Rig) -> None:
    writers = [rig.writer() for _ in range(3)]
    for writer in writers:
        rig.hold(writer)
        rig.hold(writer, "INFY")
    rig.clock.pump([0.6] * 10)
    slow = writers[0]
    slow.paused = True
    rig.router.delivery.overflowed(slow)
    for i in range(1, 101):
        rig.publish(float(i))
        rig.publish(float(-i), "INFY")
    assert slow.received == []
    assert all(len(writer.received) == 200 for writer in writers[1:])

    slow.paused = False
    rig.router.delivery.drained(slow)
    assert sorted(slow.ltps()) == [-100.0, 100.0]
    rig.publish(101.0)
    assert slow.ltps()[-1] == 101.0
    rig.clock.pump([0.6] * 10)
    assert rig.router.delivery.outboxes() == 1


class TestCatchingUp:
    """Much is kept for a client that drains; others are not to wait until it has been given that."""

    SYMBOLS = [f"S{number}" for number in range(60)]

    @pytest.fixture
    def slow(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Any:
        # About three messages.
        monkeypatch.setattr(outbox, "_PORTION", 300)
        slow = rig.writer()
        for symbol in self.SYMBOLS:
            rig.hold(slow, symbol)
        slow.paused = True
        rig.router.delivery.overflowed(slow)
        for symbol in self.SYMBOLS:
            rig.publish(1.0, symbol)
        slow.paused = False
        slow.cost = 0.0008
        return slow

    @staticmethod
    def turn(rig: Rig) -> float:
        begin = rig.clock.seconds()
        for call in [call for call in rig.clock.getDelayedCalls() if call.getTime() <= begin]:
            rig.clock.calls.remove(call)
            call.func()
        return rig.clock.seconds() - begin

    @staticmethod
    def of(writer: Any, symbol: str) -> list[float]:
        return [message["data"]["ltp"] for _, message in writer.received if message["symbol"] == symbol]

    def test_it_is_divided_among_turns(self, rig: Rig, slow: Any) -> None:
        rig.router.delivery.drained(slow)
        turns = 0
        while rig.router.delivery.behind(slow):
            assert self.turn(rig) < 0.006
            turns += 1
        assert turns > 3
        assert [self.of(slow, symbol) for symbol in self.SYMBOLS] == [[1.0]] * len(self.SYMBOLS)

    def test_it_ends_however_many_ticks_there_are(self, rig: Rig, slow: Any) -> None:
        rig.router.delivery.drained(slow)
        value = 1.0
        for _ in range(20):
            value += 1
            for symbol in self.SYMBOLS:
                rig.publish(value, symbol)
            self.turn(rig)
            if not rig.router.delivery.behind(slow):
                break
        else:
            raise AssertionError("it never catches up")
        while self.turn(rig):
            pass
        for symbol in self.SYMBOLS:
            values = self.of(slow, symbol)
            assert values == sorted(values)
            assert values[-1] == value

    def test_who_fills_up_again_gets_the_rest_when_it_has_drained_again(self, rig: Rig, slow: Any) -> None:
        slow.on_write = lambda: setattr(slow, "paused", True)
        rig.router.delivery.drained(slow)
        had = len(slow.received)
        assert 0 < had < 10
        for symbol in self.SYMBOLS:
            rig.publish(2.0, symbol)
        self.turn(rig)
        assert len(slow.received) == had
        assert rig.router.delivery.kept() == len(self.SYMBOLS)
        slow.paused = False
        rig.router.delivery.drained(slow)
        while rig.router.delivery.behind(slow):
            self.turn(rig)
        for symbol in self.SYMBOLS:
            assert self.of(slow, symbol) in ([1.0, 2.0], [2.0])

    def test_what_came_before_it_filled_up_again_goes_first(self, rig: Rig, slow: Any) -> None:
        other = rig.writer()
        rig.hold(other, "S0")
        other.cost = 0.004
        rig.router.delivery.drained(slow)
        assert self.of(slow, "S0") == [1.0]
        # Writing to the other one takes all the time that there is for writing.
        rig.publish(2.0, "S0")
        assert self.of(slow, "S0") == [1.0]
        slow.on_write = lambda: setattr(slow, "paused", True)
        rig.clock.calls.pop(0).func()
        assert slow.paused
        rig.publish(3.0, "S0")
        slow.paused = False
        slow.cost = 0.0
        rig.router.delivery.drained(slow)
        while rig.router.delivery.behind(slow):
            self.turn(rig)
        assert self.of(slow, "S0") == [1.0, 2.0, 3.0]

    @settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.lists(st.sampled_from(["tick", "tick", "turn", "drain", "overflow", "full"]), max_size=60),
        st.integers(0),
    )
    def test_every_instrument_is_told_in_order_and_to_the_last_tick(
        self, monkeypatch: pytest.MonkeyPatch, events: list[str], seed: int
    ) -> None:
        monkeypatch.setattr(outbox, "_PORTION", 300)
        rig = Rig()
        slow = rig.writer()
        slow.cost = 0.0015
        symbols = self.SYMBOLS[:12]
        for symbol in symbols:
            rig.hold(slow, symbol)
        chosen = Random(seed)
        values = dict.fromkeys(symbols, 0.0)

        def full() -> None:
            slow.paused = True

        for event in events:
            if event == "tick":
                for symbol in chosen.sample(symbols, 8):
                    values[symbol] += 1
                    rig.publish(values[symbol], symbol)
            elif event == "turn":
                self.turn(rig)
            elif event == "full":
                slow.on_write = full
            elif event == "overflow" and not rig.router.delivery.behind(slow):
                slow.paused = True
                rig.router.delivery.overflowed(slow)
            elif event == "drain" and slow.paused:
                slow.paused = False
                rig.router.delivery.drained(slow)
        slow.on_write = None
        slow.paused = False
        rig.router.delivery.drained(slow)
        while rig.router.delivery.behind(slow) or self.turn(rig):
            self.turn(rig)
        for symbol in symbols:
            told = self.of(slow, symbol)
            assert told == sorted(set(told))
            assert told[-1:] == ([values[symbol]] if values[symbol] else [])

    def test_who_is_gone_in_the_middle_is_given_no_more(self, rig: Rig, slow: Any) -> None:
        rig.router.delivery.drained(slow)
        had = len(slow.received)
        rig.router.delivery.detach(slow)
        rig.clock.advance(1.0)
        assert len(slow.received) == had
        assert rig.router.delivery.outboxes() == 0


def test_a_client_that_overflows_in_the_middle_of_a_flush_costs_nobody_a_tick(rig: Rig) -> None:
    writers = [rig.writer() for _ in range(4)]
    for writer in writers:
        rig.hold(writer)
    rig.clock.pump([0.6] * 10)
    assert rig.router.delivery.outboxes() == 1
    writers[1].on_write = lambda: rig.router.delivery.overflowed(writers[1])
    for i in range(3):
        rig.publish(float(i))
    for writer in (writers[0], writers[2], writers[3]):
        assert writer.ltps() == [0.0, 1.0, 2.0]
    assert writers[1].ltps() == [0.0]


def test_a_client_that_overflows_in_the_middle_of_many_ticks_is_owed_the_rest(rig: Rig) -> None:
    alone, *several = [rig.writer() for _ in range(4)]
    rig.hold(alone, throttle=0.0)
    rig.hold(alone, "TCS")
    for writer in several:
        rig.hold(writer)
    rig.clock.pump([0.6] * 10)
    assert rig.router.delivery.outboxes() == 2
    for writer in (alone, several[1]):
        writer.on_write = lambda writer=writer: rig.router.delivery.overflowed(writer)
    ltps = [1.0, 2.0, 3.0, 4.0]
    rig.router.receive([(topic_for("f"), pack([record(ltp) for ltp in ltps]))])
    assert [writer.ltps() for writer in (alone, *several)] == [ltps] * 4
    assert rig.router.stats.deliveries == 16


def test_a_client_that_goes_takes_nothing_with_it(rig: Rig) -> None:
    first, second = rig.writer(), rig.writer()
    for writer in (first, second):
        rig.hold(writer)
    rig.clock.pump([0.6] * 5)
    rig.router.delivery.detach(first)
    rig.publish(1.0)
    assert second.ltps() == [1.0]
    rig.router.delivery.detach(second)
    rig.publish(2.0)
    assert rig.router.delivery.outboxes() == 0


def test_stop_ends_every_timer(rig: Rig) -> None:
    writer = rig.writer()
    channel = rig.hold(writer, throttle=1.0)
    rig.publish(1.0)
    rig.publish(2.0)
    rig.router.unsubscribe(writer, channel)
    rig.router.stop()
    assert rig.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"ltp":"1"}',
        b'{"ltp":null}',
        b'{"ltp":true}',
        b'{"ltp":NaN}',
        b'{"ltp":1e999}',
        b'{"ltp":1}{',
        b'{"ltp":1,"x":"\xff"}',
        b'{"ltp":1,"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    ],
)
def test_a_foreign_payload_without_a_finite_ltp_is_dropped(rig: Rig, payload: bytes) -> None:
    writer = rig.writer()
    rig.hold(writer, feed=UNTAGGED)
    rig.foreign(b"NSE_SBIN_LTP", payload)
    assert writer.received == []
    assert rig.router.bus_stats.malformed == 1
    rig.foreign(b"NSE_SBIN_LTP", {"ltp": 2})
    rig.foreign(b"NSE_SBIN_LTP", payload)
    assert writer.ltps() == [2]
    assert rig.router.bus_stats.malformed == 2


def book(levels: int) -> dict[str, Any]:
    side = [{"price": 1.5 + level, "quantity": 10} for level in range(levels)]
    return {"buy": side, "sell": side[:2]}


foreign_tick = st.tuples(
    st.just("tick"), st.sampled_from(Mode), st.sampled_from([None, 0, 4, 5, 6, 7]), st.booleans()
)
holding = st.tuples(
    st.just("hold"),
    st.integers(0, 3),
    st.sampled_from(Mode),
    st.sampled_from([5, 6, 20]),
    st.sampled_from([0.0, 0.0, 0.05]),
    st.sampled_from(["openalgo", "openalgo", "flat"]),
)
others = st.sampled_from([("junk",), ("wait",)]) | st.tuples(
    st.sampled_from(["leave", "block", "unblock"]), st.integers(0, 3)
)


def foreign_course(events: list[tuple[Any, ...]]) -> tuple[list[Any], list[int]]:
    """What each of four clients had, and counters, after events of an untagged publisher."""
    rig = Rig()
    writers = [rig.writer() for _ in range(4)]
    held: list[list[Any]] = [[] for _ in writers]
    value = 0
    for kind, *rest in events:
        if kind == "tick":
            mode, levels, stamped = rest
            value += 1
            payload: dict[str, Any] = {"ltp": value, "text": "ü" * (value % 2)}
            payload |= {"timestamp": 1_700_000_000_000} if stamped else {}
            if levels is not None:
                payload["depth"] = book(levels) if mode is Mode.DEPTH else "none"
            rig.foreign(f"NSE_SBIN_{mode.name}".encode(), payload)
        elif kind == "junk":
            rig.foreign(b"NSE_SBIN_DEPTH", b'{"ltp":1e999}')
        elif kind == "wait":
            rig.clock.pump([0.1] * 10)
        elif kind == "hold":
            index, mode, levels, throttle, format = rest
            held[index].append(
                rig.hold(
                    writers[index],
                    mode=mode,
                    feed=UNTAGGED,
                    levels=levels,
                    throttle=throttle,
                    format=format,
                )
            )
        elif kind == "leave":
            for channel in dict.fromkeys(held[rest[0]]):
                rig.router.unsubscribe(writers[rest[0]], channel)
            held[rest[0]].clear()
        elif kind == "block":
            writers[rest[0]].paused = True
            rig.router.delivery.overflowed(writers[rest[0]])
        else:
            writers[rest[0]].paused = False
            rig.router.delivery.drained(writers[rest[0]])
    rig.clock.pump([0.1] * 10)
    stats, bus = rig.router.stats, rig.router.bus_stats
    counters = [stats.deliveries, stats.encoded, stats.conflated, bus.ticks, bus.malformed]
    return [writer.received for writer in writers], counters


@settings(max_examples=150)
@given(st.lists(st.one_of(foreign_tick, foreign_tick, holding, others), max_size=30))
def test_the_usual_case_of_foreign_ticks_is_none_for_those_who_receive_them(
    events: list[tuple[Any, ...]],
) -> None:
    events = [("hold", 0, Mode.DEPTH, 5, 0.0, "openalgo"), *events]
    found = foreign_course(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Source, "look", lambda source: None)
        assert found == foreign_course(events)


def test_a_foreign_tick_passes_as_it_came_and_poorer_modes_are_derived(rig: Rig) -> None:
    writers = {mode: rig.writer() for mode in Mode}
    for mode, writer in writers.items():
        rig.hold(writer, "A_B", mode, feed=UNTAGGED)
    data = {
        "symbol": "A_B",
        "mode": 3,
        "ltp": 5,
        "ltt": "10:15",
        "average_price": 4.5,
        "odd": {"x": [1]},
        "depth": {"buy": [{"price": 1, "quantity": 2}], "sell": []},
    }
    rig.clock.advance(1.5)
    rig.foreign(b"NSE_A_B_DEPTH", data)
    shown = {mode: writer.received[0][1]["data"] for mode, writer in writers.items()}
    assert shown[Mode.DEPTH] == {**data, "timestamp": 1500}
    assert shown[Mode.QUOTE] == {"ltp": 5, "ltt": "10:15", "timestamp": 1500, "avg_trade_price": 4.5}
    assert shown[Mode.LTP] == {"ltp": 5, "ltt": "10:15", "timestamp": 1500}


def test_control_messages_go_to_control(rig: Rig) -> None:
    rig.router.receive([(b"CACHE_INVALIDATE_ALL_x", b"{}"), (b"NSE_NOBODY_LTP", b"junk")])
    assert rig.control == [(b"CACHE_INVALIDATE_ALL_x", b"{}")]
    assert rig.router.bus_stats.unwanted == 1


# The law of throttling, for any course of events.

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


def test_last_values_wait_for_the_reply_however_many_there_are(rig: Rig) -> None:
    holder = rig.writer()
    symbols = ["SBIN", "INFY", "TCS"]
    for symbol in symbols:
        rig.hold(holder, symbol)
        rig.publish(1.0, symbol)
    late = rig.writer()
    key = ChannelKey(Mode.LTP, 0, "openalgo", "zerodha", 0.0)
    for symbol in symbols:
        rig.router.subscribe(late, "f", symbol, "NSE", key)
    assert late.received == []
    rig.router.delivery.flush_client(late)
    assert [message["symbol"] for _, message in late.received] == symbols


class TestWritingInSlices:
    """Clients who take longer to write to than the reactor may be kept."""

    @pytest.fixture
    def writers(self, rig: Rig) -> list[Any]:
        writers = [rig.writer() for _ in range(64)]
        for writer in writers:
            rig.hold(writer)
        return writers

    @pytest.fixture(params=["shared", "alone"])
    def slow(self, request: Any, rig: Rig, writers: list[Any]) -> list[Any]:
        if request.param == "shared":
            for _ in writers:
                rig.clock.advance(0.6)
            assert rig.router.delivery.outboxes() == 1
        for writer in writers:
            writer.cost = 0.001
        return writers

    def publish(self, rig: Rig, ltp: float) -> Any:
        return rig.router.receive([(topic_for("f"), pack([record(ltp)]))])

    def had(self, writers: list[Any]) -> int:
        return sum(bool(writer.received) for writer in writers)

    def finish(self, rig: Rig) -> None:
        rig.clock.advance(0)

    def test_the_reactor_has_its_turn_in_between(self, rig: Rig, slow: list[Any]) -> None:
        done: list[None] = []
        self.publish(rig, 1.0).addCallback(done.append)
        assert 0 < self.had(slow) < 32
        assert done == []
        self.finish(rig)
        assert all(writer.ltps() == [1.0] for writer in slow)
        assert done == [None]
        assert rig.router.stats.deliveries == 64

    def test_what_comes_meanwhile_comes_after(self, rig: Rig, slow: list[Any]) -> None:
        for ltp in (1.0, 2.0, 3.0):
            self.publish(rig, ltp)
        self.finish(rig)
        assert all(writer.ltps() == [1.0, 2.0, 3.0] for writer in slow)
        assert rig.router.stats.deliveries == 3 * 64

    def test_who_leaves_in_the_middle_has_had_everything_before(self, rig: Rig, slow: list[Any]) -> None:
        self.publish(rig, 1.0)
        self.publish(rig, 2.0)
        leaver = slow[-1]
        assert leaver.received == []
        rig.hold(leaver, "INFY")
        assert leaver.ltps() == [1.0, 2.0]
        self.publish(rig, 3.0)
        self.finish(rig)
        assert all(writer.ltps() == [1.0, 2.0, 3.0] for writer in slow)

    def test_what_is_given_back_in_the_middle_is_silent_from_then_on(self, rig: Rig, slow: list[Any]) -> None:
        channel = rig.hold(slow[-1])
        self.publish(rig, 1.0)
        rig.router.unsubscribe(slow[-1], channel)
        had = slow[-1].ltps()
        self.publish(rig, 2.0)
        self.finish(rig)
        assert slow[-1].ltps() == had == [1.0]
        assert all(writer.ltps() == [1.0, 2.0] for writer in slow[:-1])

    def test_last_values_wait_for_the_reply_in_the_middle_too(self, rig: Rig, slow: list[Any]) -> None:
        other = rig.writer()
        for symbol in ("INFY", "TCS"):
            rig.hold(other, symbol)
            rig.publish(5.0, symbol)
        self.publish(rig, 1.0)
        late = slow[-1]
        key = ChannelKey(Mode.LTP, 0, "openalgo", "zerodha", 0.0)
        for symbol in ("INFY", "TCS"):
            rig.router.subscribe(late, "f", symbol, "NSE", key)
        assert late.ltps() == [1.0]
        rig.router.delivery.flush_client(late)
        assert late.ltps() == [1.0, 5.0, 5.0]
        self.finish(rig)
        assert late.ltps() == [1.0, 5.0, 5.0]

    def test_who_is_gone_in_the_middle_is_not_written_to(self, rig: Rig, slow: list[Any]) -> None:
        self.publish(rig, 1.0)
        rig.router.delivery.detach(slow[-1])
        self.finish(rig)
        assert slow[-1].received == []
        assert self.had(slow) == 63

    def test_who_overflows_in_the_middle_gets_the_latest_when_it_has_drained(
        self, rig: Rig, slow: list[Any]
    ) -> None:
        late = slow[-1]
        late.on_write = lambda: rig.router.delivery.overflowed(late)
        for ltp in (1.0, 2.0, 3.0):
            self.publish(rig, ltp)
        self.finish(rig)
        # What had gathered went to the transport with the write that made it overflow.
        assert late.ltps() == [1.0, 2.0, 3.0]
        self.publish(rig, 4.0)
        self.publish(rig, 5.0)
        self.finish(rig)
        assert late.ltps() == [1.0, 2.0, 3.0]
        rig.router.delivery.drained(late)
        assert late.ltps() == [1.0, 2.0, 3.0, 5.0]
        assert all(writer.ltps() == [1.0, 2.0, 3.0, 4.0, 5.0] for writer in slow[:-1])

    def test_a_newcomer_joins_in_the_middle(self, rig: Rig, slow: list[Any]) -> None:
        newcomer = rig.writer()
        rig.hold(newcomer)
        for ltp in range(1, 10):
            self.publish(rig, float(ltp))
            rig.clock.advance(0.3)
        self.finish(rig)
        everything = [float(ltp) for ltp in range(1, 10)]
        assert all(writer.ltps() == everything for writer in [*slow, newcomer])

    def test_stopping_ends_the_writing(self, rig: Rig, slow: list[Any]) -> None:
        self.publish(rig, 1.0)
        rig.router.stop()
        assert rig.clock.getDelayedCalls() == []


def test_what_nobody_wanted_is_delivered_as_soon_as_somebody_does(rig: Rig) -> None:
    for _ in range(2):
        rig.foreign(b"NSE_SBIN_LTP", {"ltp": 1.0})
    assert (rig.router.bus_stats.ticks, rig.router.bus_stats.unwanted) == (2, 2)
    writer = rig.writer()
    channel = rig.hold(writer, feed=UNTAGGED)
    rig.foreign(b"NSE_SBIN_LTP", {"ltp": 2.0})
    assert writer.ltps() == [2.0]
    rig.router.unsubscribe(writer, channel)
    rig.clock.advance(400)
    rig.foreign(b"NSE_SBIN_LTP", {"ltp": 3.0})
    assert writer.ltps() == [2.0]
    assert rig.router.bus_stats.unwanted == 3


def test_more_topics_than_are_remembered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openalgo_ws.gateway.router._TOPICS", 3)
    for number in range(10):
        rig.foreign(f"NSE_S{number}_LTP".encode(), {"ltp": 1.0})
    assert rig.router.bus_stats.unwanted == 10
    assert len(rig.router._market) <= 3
