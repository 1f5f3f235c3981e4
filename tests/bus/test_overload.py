"""Whatever is offered: nothing grows without bound, and the latest of each instrument arrives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import pytest_twisted
import zmq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.zeromq import ZmqBus
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.bus.zmq_subscriber import Subscriber

PATIENCE = 20.0
SYMBOLS = 50
#: Much more than the queues of both sockets and the kernel's buffers hold.
TICKS = 60_000
#: Ticks that are sent at a time, fewer than the publisher's queue holds.
CHUNK = 500


class Gateway:
    """Busy with its first batch until it is told to go on; from then on it takes everything."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.busy: Deferred[None] | None = None
        self._blocks = True

    def __call__(self, messages: list[Message]) -> Deferred[None] | None:
        self.messages += messages
        if self._blocks and self.busy is None:
            self.busy = Deferred()
            return self.busy
        return None

    def go_on(self) -> None:
        self._blocks = False
        assert self.busy is not None
        self.busy.callback(None)


@pytest.fixture
def foreign() -> Iterator[zmq.Socket[bytes]]:
    """A publisher as others have it: it drops the newest in silence when its queue is full."""
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.linger = 0
        yield socket


async def until_read(subscriber: Subscriber, count: int) -> None:
    end = reactor.seconds() + PATIENCE
    while subscriber.intake.messages < count:
        assert reactor.seconds() < end, f"{subscriber.intake.messages} of {count} were read"
        await deferLater(reactor, 0)


@pytest_twisted.ensureDeferred
async def test_a_gateway_that_is_busy_all_the_time_loses_no_latest_value_and_no_order(
    bus: ZmqBus, foreign: zmq.Socket[bytes]
) -> None:
    gateway = Gateway()
    subscriber = bus.subscriber([BusEndpoint("tcp://127.0.0.1:*", True)], gateway)
    foreign.connect(subscriber.addresses()[0])
    while gateway.busy is None:
        foreign.send_multipart([b"hello", b"{}"])
        await deferLater(reactor, 0)
    # Some greetings may still be on their way: so many more of a chunk may be, too, when the next one goes.
    before = subscriber.intake.messages
    padding = b" " * 1000
    largest = 0
    for start in range(0, TICKS, CHUNK):
        for number in range(start, start + CHUNK):
            topic = b"NSE_S%d_LTP" % (number % SYMBOLS)
            foreign.send_multipart([topic, b'{"ltp":%d%s}' % (number, padding)])
        foreign.send_multipart([b"ZERODHA_alice_orders", b'{"n":%d}' % start])
        await until_read(subscriber, before + (start // CHUNK + 1) * (CHUNK + 1))
        largest = max(largest, subscriber.intake.backlog())
    assert len(gateway.messages) < CHUNK, "it was busy"
    assert subscriber.intake.conflating
    assert largest <= 4096 + CHUNK
    gateway.go_on()
    end = reactor.seconds() + PATIENCE
    while subscriber.intake.backlog():
        assert reactor.seconds() < end
        await deferLater(reactor, 0)
    ticks = [message for message in gateway.messages if message[0].endswith(b"_LTP")]
    last = {topic: int(payload[7:].split(b" ")[0]) for topic, payload in ticks}
    assert last == {b"NSE_S%d_LTP" % (n % SYMBOLS): n for n in range(TICKS - SYMBOLS, TICKS)}
    assert len(ticks) + subscriber.intake.conflated == TICKS
    orders = [payload for topic, payload in gateway.messages if topic.endswith(b"_orders")]
    assert orders == [b'{"n":%d}' % start for start in range(0, TICKS, CHUNK)]
