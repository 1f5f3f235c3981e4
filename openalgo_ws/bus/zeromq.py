"""The bus on ZeroMQ: a subscriber with a bounded drain and a publisher that never loses the latest.

Both are txZMQ connections. Stock txZMQ reads until the socket is empty, so a flood would starve
the reactor, and logs a context for every message (7 µs); the drain here takes a bounded batch a
turn (about 1 µs a message) and lets everything else have its turn in between. What it does when the
gateway falls behind is `openalgo_ws.bus.intake`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import zmq
from twisted.internet.interfaces import IDelayedCall
from txzmq import ZmqConnection, ZmqEndpoint, ZmqEndpointType, ZmqFactory

from openalgo_ws.bus.intake import Intake, Message, Receive
from openalgo_ws.bus.records import TickRecord, pack, topic_for

__all__ = ["BusEndpoint", "Message", "Publisher", "Subscriber", "ZmqBus"]

#: As a plain number: an enum's costs more than the read itself.
_NOBLOCK = int(zmq.NOBLOCK)

#: Bytes of our own batches that are read in one turn (a batch holds hundreds of ticks).
_BYTES = 1 << 18


class BusEndpoint(msgspec.Struct, frozen=True):
    """A ZeroMQ address, bound or connected to."""

    address: str
    bind: bool

    def to_txzmq(self) -> ZmqEndpoint:
        """As txZMQ wants it."""
        kind = ZmqEndpointType.bind if self.bind else ZmqEndpointType.connect
        return ZmqEndpoint(kind, self.address)


class ZmqBus:
    """Owns the ZeroMQ context and every socket made from it."""

    def __init__(self, reactor: Any) -> None:
        self._factory = ZmqFactory()
        self._factory.reactor = reactor
        self._factory.lingerPeriod = 0

    def subscriber(
        self,
        endpoints: Sequence[BusEndpoint],
        receive: Receive,
        *,
        batch: int = 256,
        high_water_mark: int = 20_000,
    ) -> Subscriber:
        """A SUB socket for all topics. zmq.ZMQError if an address can't be bound."""
        subscriber = Subscriber(self._factory, receive, batch, high_water_mark)
        subscriber.attach(endpoints)
        return subscriber

    def publisher(
        self, endpoints: Sequence[BusEndpoint], *, high_water_mark: int = 10_000, batch: int = 500
    ) -> Publisher:
        """A PUB socket."""
        publisher = Publisher(self._factory, high_water_mark, batch)
        publisher.attach(endpoints)
        return publisher

    def shutdown(self) -> None:
        """Close every socket and the context."""
        self._factory.shutdown()


class _Socket(ZmqConnection):  # type: ignore[misc]
    """What both directions share: endpoints, high-water marks set before them, an idle FD."""

    def __init__(self, factory: ZmqFactory, high_water_mark: int) -> None:
        self.highWaterMark = high_water_mark
        self._again: IDelayedCall | None = None
        self._ready = False
        super().__init__(factory)

    def attach(self, endpoints: Sequence[BusEndpoint]) -> None:
        """Bind and connect; zmq.ZMQError if an address can't be had."""
        self._ready = True
        self.addEndpoints([endpoint.to_txzmq() for endpoint in endpoints])

    def addresses(self) -> str:
        """The last address bound, with its real port."""
        return str(self.socket.getsockopt_string(zmq.LAST_ENDPOINT))

    def _later(self, delay: float, function: Callable[[], None]) -> None:
        if self._again is None:
            self._again = self.factory.reactor.callLater(delay, self._run, function)
        elif not delay:
            self._again.reset(0)

    def _run(self, function: Callable[[], None]) -> None:
        self._again = None
        function()

    def shutdown(self) -> None:
        """Close the socket; harmless when it is closed already."""
        if self.factory is None:
            return
        if self._again is not None:
            self._again.cancel()
            self._again = None
        super().shutdown()


class Subscriber(_Socket):
    """Receives all topics and hands them on in batches of at most ``batch`` messages a turn.

    It reads while the receiver is busy, too: what can't be handed on waits in `intake`.
    """

    socketType = zmq.SUB

    def __init__(
        self,
        factory: ZmqFactory,
        receive: Receive,
        batch: int,
        high_water_mark: int,
    ) -> None:
        self.intake = Intake(receive, self._go_on, batch=batch)
        super().__init__(factory, high_water_mark)
        self.socket.setsockopt(zmq.SUBSCRIBE, b"")

    def doRead(self) -> None:
        """Take what has arrived, at most one batch; the rest has its turn in the next iteration."""
        if self.factory is None or not self._ready:
            return
        messages: list[Message] = []
        more = self._read(messages, self.intake.size)
        if self.intake.take(messages, more):
            self._later(0, self.doRead)

    def _read(self, messages: list[Message], most: int) -> bool:
        """Append up to so many messages; whether there may be more."""
        recv = self.socket.recv
        append = messages.append
        topic = None
        weight = 0
        try:
            for _ in range(most):
                topic = None
                topic = recv(_NOBLOCK)
                payload = recv(_NOBLOCK)
                # Asking after every frame whether another belongs to it would cost seven times the
                # two reads. A payload begins with a brace (or is one of our own batches); what does
                # not may be the topic of the next message, after one that had a single frame.
                if payload[:1] != b"{":
                    while payload[:1] != b"{" and self.socket.getsockopt(zmq.RCVMORE):
                        append((topic, b""))
                        topic, payload = payload, recv(_NOBLOCK)
                    weight += len(payload)
                    if weight > _BYTES:
                        append((topic, payload))
                        break
                append((topic, payload))
        except zmq.Again:
            # Empty, and the edge-triggered descriptor will tell of the next message.
            if topic is not None:
                append((topic, b""))
            return False
        return True

    def _go_on(self) -> None:
        """The receiver has time again. What came meanwhile has used up the descriptor's edge."""
        if self.factory is not None:
            self._later(0, self.doRead)


class Publisher(_Socket):
    """Publishes ticks and orders; implements `openalgo_ws.bus.records.TickSink`.

    Ticks published in one reactor turn travel as one message per feed. When the subscriber is too
    slow and the queue is full (XPUB_NODROP makes that visible), the latest record per instrument
    is kept and sent when there is room; ``conflated`` counts those that a newer one replaced.
    """

    socketType = zmq.PUB

    def __init__(self, factory: ZmqFactory, high_water_mark: int, batch: int) -> None:
        self._batch = batch
        self._fresh: dict[str, list[TickRecord]] = {}
        self._waiting: dict[str, dict[tuple[str, str], TickRecord]] = {}
        self._updates: dict[tuple[bytes, bytes], None] = {}
        self._update_limit = high_water_mark
        self.conflated = 0
        self.dropped_updates = 0
        super().__init__(factory, high_water_mark)
        self.socket.setsockopt(zmq.XPUB_NODROP, 1)

    def publish(self, feed: str, record: TickRecord) -> None:
        """Publish one tick with the others of this turn."""
        fresh = self._fresh.get(feed)
        if fresh is None:
            self._fresh[feed] = [record]
            self._later(0, self._flush)
        else:
            fresh.append(record)

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        """Publish an order update under the platform's own topic ``<BROKER>_<user>_orders``."""
        topic = f"{broker.upper()}_{user}_orders".encode()
        payload = msgspec.json.encode(update)
        if self._updates or not self._sent((topic, payload)):
            self._updates[(topic, payload)] = None
            if len(self._updates) > self._update_limit:
                del self._updates[next(iter(self._updates))]
                self.dropped_updates += 1
            self._later(0.01, self._flush)

    def doRead(self) -> None:
        """A PUB socket has nothing to read, but its descriptor tells when a full pipe has room."""
        if self.factory is None or not self._ready:
            return
        self.socket.getsockopt(zmq.EVENTS)
        if self._waiting or self._updates:
            self._flush()

    def backlog(self) -> int:
        """Records that wait for room."""
        return sum(len(records) for records in self._waiting.values()) + len(self._updates)

    def _sent(self, parts: tuple[bytes, bytes]) -> bool:
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            return False
        # Sending may consume the descriptor's edge: see libzmq's notes on ZMQ_FD.
        self.socket.getsockopt(zmq.EVENTS)
        return True

    def _flush(self) -> None:
        while self._updates:
            oldest = next(iter(self._updates))
            if not self._sent(oldest):
                break
            del self._updates[oldest]
        fresh, self._fresh = self._fresh, {}
        for feed, records in fresh.items():
            if feed in self._waiting:
                self._keep(feed, records)
                continue
            topic = topic_for(feed)
            for start in range(0, len(records), self._batch):
                if not self._sent((topic, pack(records[start : start + self._batch]))):
                    self._keep(feed, records[start:])
                    break
        for feed in list(self._waiting):
            self._drain(feed)
        if self._waiting or self._updates:
            # The descriptor usually tells first; this is for an edge that was missed.
            self._later(0.01, self._flush)

    def _keep(self, feed: str, records: Sequence[TickRecord]) -> None:
        waiting = self._waiting.setdefault(feed, {})
        before = len(waiting)
        for record in records:
            waiting[record.symbol, record.exchange] = record
        self.conflated += before + len(records) - len(waiting)

    def _drain(self, feed: str) -> None:
        waiting = self._waiting[feed]
        topic = topic_for(feed)
        while waiting:
            keys = [key for key, _ in zip(waiting, range(self._batch), strict=False)]
            if not self._sent((topic, pack([waiting[key] for key in keys]))):
                return
            for key in keys:
                del waiting[key]
        del self._waiting[feed]
