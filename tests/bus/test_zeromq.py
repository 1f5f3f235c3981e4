"""Publisher and subscriber over real sockets."""

from __future__ import annotations

import json

import pytest
import pytest_twisted
import zmq
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.records import TICKS_PREFIX, TickRecord, tag_of, unpack
from openalgo_ws.bus.zeromq import ZmqBus
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.tick import Mode


def record(symbol: str, ltp: int) -> TickRecord:
    body = b'{"ltp":%d}' % ltp
    return TickRecord(symbol, "NSE", Mode.LTP, 0, ltp, len(body) - 1, 0, body)


class Collector:
    def __init__(self) -> None:
        self.batches: list[list[Message]] = []
        self._waiting: list[tuple[int, Deferred[None]]] = []

    def __call__(self, messages: list[Message]) -> None:
        self.batches.append(messages)
        for want, done in list(self._waiting):
            if self.count() >= want:
                self._waiting.remove((want, done))
                done.callback(None)

    def count(self) -> int:
        return sum(map(len, self.batches))

    def messages(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]

    def until(self, count: int) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        if self.count() >= count:
            done.callback(None)
        else:
            self._waiting.append((count, done))
        return done.addTimeout(10, reactor)


@pytest.fixture
def collector() -> Collector:
    return Collector()


async def joined(publisher, collector: Collector) -> None:
    """Wait until the subscription has reached the publisher: publish until something arrives."""
    from twisted.internet.task import LoopingCall

    loop = LoopingCall(publisher.publish_order, "x", "y", {})
    loop.start(0.01)
    await collector.until(1)
    loop.stop()


@pytest_twisted.ensureDeferred
async def test_ticks_of_one_turn_travel_together(bus: ZmqBus, collector: Collector) -> None:
    bus.subscriber([BusEndpoint("inproc://ticks", True)], collector)
    publisher = bus.publisher([BusEndpoint("inproc://ticks", False)])
    await joined(publisher, collector)
    seen = collector.count()
    for i in range(3):
        publisher.publish("zerodha.demo", record("SBIN", i))
    publisher.publish("other", record("INFY", 9))
    await collector.until(seen + 2)
    ticks = [m for m in collector.messages() if m[0].startswith(TICKS_PREFIX)]
    assert [(tag_of(topic), [r.timestamp for r in unpack(payload)]) for topic, payload in ticks] == [
        ("zerodha.demo", [0, 1, 2]),
        ("other", [9]),
    ]


@pytest_twisted.ensureDeferred
async def test_a_foreign_publisher_over_tcp(bus: ZmqBus, collector: Collector) -> None:
    subscriber = bus.subscriber([BusEndpoint("tcp://127.0.0.1:*", True)], collector)
    with zmq.Context() as context, context.socket(zmq.PUB) as foreign:
        foreign.linger = 0
        foreign.connect(subscriber.addresses()[0])
        from twisted.internet.task import LoopingCall

        loop = LoopingCall(foreign.send_multipart, [b"NSE_SBIN_LTP", b'{"ltp":1}'])
        loop.start(0.01)
        await collector.until(3)
        loop.stop()
    assert collector.messages()[0] == (b"NSE_SBIN_LTP", b'{"ltp":1}')


@pytest_twisted.ensureDeferred
async def test_messages_that_do_not_have_two_frames_cost_only_themselves(
    bus: ZmqBus, collector: Collector
) -> None:
    subscriber = bus.subscriber([BusEndpoint("tcp://127.0.0.1:*", True)], collector)
    good = [b"NSE_SBIN_LTP", b'{"ltp":1}']
    batch = [b"\x00Tfeed", b"\x90"]
    odd = [[b"alone"], [b"a", b"b", b"c"], [b"two", b"texts"], [b"four", b"{", b"{", b"{"], [b""]]
    with zmq.Context() as context, context.socket(zmq.PUB) as foreign:
        foreign.linger = 0
        foreign.connect(subscriber.addresses()[0])
        await joined_from_outside(foreign, collector)
        sent = 0
        for first in odd:
            for second in odd:
                for message in (first, second, good, first, good, good, batch):
                    foreign.send_multipart(message)
                sent += 1
        foreign.send_multipart([b"the end", b"{}"])
        while (b"the end", b"{}") not in collector.messages():
            await turn()
    arrived = collector.messages()
    assert arrived.count(tuple(good)) == 3 * sent
    assert arrived.count(tuple(batch)) == sent


async def joined_from_outside(foreign: zmq.Socket, collector: Collector) -> None:
    while not collector.count():
        foreign.send_multipart([b"hello", b"{}"])
        await turn()


@pytest_twisted.ensureDeferred
async def test_the_drain_is_bounded_per_turn(bus: ZmqBus, collector: Collector) -> None:
    bus.subscriber([BusEndpoint("inproc://flood", True)], collector, batch=10)
    publisher = bus.publisher([BusEndpoint("inproc://flood", False)])
    await joined(publisher, collector)
    seen = collector.count()
    for _ in range(100):
        publisher.publish_order("x", "y", {})
    await collector.until(seen + 100)
    assert max(map(len, collector.batches)) <= 10


@pytest_twisted.ensureDeferred
async def test_a_full_bus_keeps_the_latest_of_each_instrument(bus: ZmqBus) -> None:
    with zmq.Context() as context, context.socket(zmq.SUB) as slow:
        slow.rcvhwm = 1
        slow.setsockopt(zmq.RCVBUF, 4096)
        slow.subscribe(b"")
        port = slow.bind_to_random_port("tcp://127.0.0.1")
        publisher = bus.publisher([BusEndpoint(f"tcp://127.0.0.1:{port}", False)], high_water_mark=5)
        slow.rcvtimeo = 5000
        await until_connected(publisher, slow)

        big = b" " * 200_000
        last = 0
        while publisher.conflated < 50:
            last += 1
            for symbol in ("SBIN", "INFY"):
                tick = record(symbol, last)
                tick.body += big
                publisher.publish("f", tick)
            await turn()
        assert publisher.backlog() <= 2

        latest: dict[str, int] = {}
        while latest != {"SBIN": last, "INFY": last}:
            try:
                topic, payload = slow.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                await turn()
                continue
            if topic.startswith(TICKS_PREFIX):
                for tick in unpack(payload):
                    assert tick.timestamp >= latest.get(tick.symbol, 0)
                    latest[tick.symbol] = tick.timestamp
        assert publisher.backlog() == 0


def turn() -> Deferred[None]:
    done: Deferred[None] = Deferred()
    reactor.callLater(0.001, done.callback, None)
    return done


async def until_connected(publisher, slow: zmq.Socket) -> None:
    while True:
        publisher.publish_order("x", "y", {"hello": 1})
        await turn()
        try:
            _, payload = slow.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            continue
        assert json.loads(payload) == {"hello": 1}
        return
