"""What a publisher keeps while there is no room, against a transport that has room when it likes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.bus.conflate import Conflator
from openalgo_ws.bus.records import TICKS_PREFIX, TickRecord, pack, tag_of, unpack
from openalgo_ws.tick import Mode

FEEDS, SYMBOLS = ("alice.zerodha", "bob.dhan"), ("SBIN", "INFY", "TCS")


def tick(symbol: str, number: int, *, padding: int = 0) -> TickRecord:
    body = b'{"ltp":%d,"pad":"%s"}' % (number, b"x" * padding)
    return TickRecord(symbol, "NSE", Mode.LTP, 0, number, body.index(b","), 0, body)


class Transport:
    """Takes as many messages as it has room for."""

    def __init__(self, most_bytes: int) -> None:
        self.room = 0
        self.most_bytes = most_bytes
        self.ticks: list[tuple[str, str, int]] = []
        self.orders: list[int] = []

    def send(self, topic: bytes, payload: bytes) -> bool:
        assert len(payload) <= self.most_bytes
        if not self.room:
            return False
        self.room -= 1
        if topic.startswith(TICKS_PREFIX):
            self.ticks += [(tag_of(topic), one.symbol, one.timestamp) for one in unpack(payload)]
        else:
            self.orders.append(json.loads(payload)["n"])
        return True


steps = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.sampled_from(FEEDS), st.sampled_from(SYMBOLS)),
        st.tuples(st.just("order"), st.just(""), st.just("")),
        st.tuples(st.just("flush"), st.just(""), st.just("")),
        st.tuples(st.just("room"), st.sampled_from(["0", "1", "3"]), st.just("")),
    ),
    max_size=80,
)


@given(steps, st.integers(1, 4), st.integers(1, 5), st.sampled_from([150, 400, 10_000]))
def test_the_latest_of_each_instrument_comes_in_order_and_everything_is_accounted_for(
    steps: list[tuple[str, str, str]], batch: int, updates: int, most_bytes: int
) -> None:
    transport = Transport(most_bytes)
    queue = Conflator(transport.send, batch=batch, updates=updates, most_bytes=most_bytes)
    latest: dict[tuple[str, str], int] = {}
    ticks = orders = 0
    for number, (what, first, symbol) in enumerate(steps):
        if what == "tick":
            ticks += 1
            latest[first, symbol] = number
            queue.add(first, tick(symbol, number, padding=40))
        elif what == "order":
            queue.add_order("zerodha", "alice", {"n": orders})
            orders += 1
        elif what == "flush":
            queue.flush()
            assert queue.backlog() <= len(latest) + updates
        else:
            transport.room = int(first)
    transport.room = 10_000
    queue.flush()
    assert queue.idle
    assert queue.backlog() == 0
    assert {(feed, symbol): number for feed, symbol, number in transport.ticks} == latest
    for key in latest:
        numbers = [number for *this, number in transport.ticks if tuple(this) == key]
        assert numbers == sorted(set(numbers))
    assert len(transport.ticks) + queue.conflated == ticks
    assert transport.orders == sorted(set(transport.orders))
    assert len(transport.orders) + queue.lost == orders
    assert queue.published == ticks + orders


def test_what_can_never_be_sent_is_counted_and_stops_nothing() -> None:
    transport = Transport(most_bytes=len(pack([tick("SBIN", 1, padding=50)])))
    transport.room = 10
    queue = Conflator(transport.send, batch=10, updates=10, most_bytes=transport.most_bytes)
    queue.add("feed", tick("SBIN", 1))
    queue.add("feed", tick("DEEP", 1, padding=500))
    queue.add("feed", tick("INFY", 1))
    assert queue.add_order("zerodha", "alice", {"n": 1, "pad": "x" * 1000})
    queue.flush()
    assert transport.ticks == [("feed", "SBIN", 1), ("feed", "INFY", 1)]
    assert transport.orders == []
    assert (queue.lost, queue.conflated, queue.idle) == (2, 0, True)


def test_one_takes_over_what_waits_in_another() -> None:
    transport = Transport(most_bytes=10_000)
    queue = Conflator(transport.send, batch=10, updates=10)
    missed = Conflator(Transport(10_000).send, batch=10, updates=10)
    queue.keep("feed", [tick("SBIN", 1), tick("TCS", 1)])
    missed.keep("feed", [tick("SBIN", 2), tick("INFY", 2)])
    missed.add_order("zerodha", "alice", {"n": 1})
    queue.take_over(missed)
    transport.room = 10
    queue.flush()
    assert sorted(transport.ticks) == [("feed", "INFY", 2), ("feed", "SBIN", 2), ("feed", "TCS", 1)]
    assert transport.orders == [1]
    assert missed.backlog() == 3
