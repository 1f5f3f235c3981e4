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

from openalgo_ws.bus.conflate import ConflatingPublisher, Conflator
from openalgo_ws.bus.intake import BATCH, BRACE, Intake
from openalgo_ws.bus.interface import Bus, Message, Receive
from openalgo_ws.bus.records import TickRecord

__all__ = ["BusEndpoint", "Message", "Publisher", "Subscriber", "ZmqBus", "ZmqSocket"]

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
        batch: int = BATCH,
        mark: int = 4096,
        high_water_mark: int = 50_000,
    ) -> Subscriber:
        """A SUB socket for all topics; ``mark`` is `Intake`'s. zmq.ZMQError if an address can't be bound."""
        subscriber = Subscriber(self._factory, receive, batch, mark, high_water_mark)
        subscriber.attach(endpoints)
        return subscriber

    def publisher(
        self, endpoints: Sequence[BusEndpoint], *, high_water_mark: int = 10_000, batch: int = 500
    ) -> Publisher:
        """A PUB socket."""
        publisher = Publisher(self._factory, high_water_mark, batch)
        publisher.attach(endpoints)
        return publisher

    def way(
        self,
        *,
        publish: Sequence[BusEndpoint] = (),
        subscribe: Sequence[BusEndpoint] = (),
        high_water_mark: int = 10_000,
    ) -> Bus:
        """This bus as one way between these addresses; a process that has one end only leaves the
        other out."""
        return _Way(self, publish, subscribe, high_water_mark)

    def shutdown(self) -> None:
        """Close every socket and the context."""
        self._factory.shutdown()


class _Way:
    def __init__(
        self,
        bus: ZmqBus,
        publish: Sequence[BusEndpoint],
        subscribe: Sequence[BusEndpoint],
        high_water_mark: int,
    ) -> None:
        self._bus = bus
        self._publish = publish
        self._subscribe = subscribe
        self._high_water_mark = high_water_mark
        self._made: list[ZmqSocket] = []

    def publisher(self) -> Publisher:
        publisher = self._bus.publisher(self._publish, high_water_mark=self._high_water_mark)
        self._made.append(publisher)
        return publisher

    def subscriber(self, receive: Receive, *, batch: int = BATCH, mark: int = 4096) -> Subscriber:
        subscriber = self._bus.subscriber(
            self._subscribe, receive, batch=batch, mark=mark, high_water_mark=self._high_water_mark
        )
        self._made.append(subscriber)
        return subscriber

    def shutdown(self) -> None:
        for one in self._made:
            one.close()
        self._made.clear()


class ZmqSocket(ZmqConnection):  # type: ignore[misc]
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

    def close(self) -> None:
        """The same, as `openalgo_ws.bus.interface` calls it."""
        self.shutdown()


class Subscriber(ZmqSocket):
    """Receives all topics and hands them on in batches of at most ``batch`` messages a turn.

    It reads while the receiver is busy, too: what can't be handed on waits in `intake`.
    """

    socketType = zmq.SUB

    def __init__(
        self,
        factory: ZmqFactory,
        receive: Receive,
        batch: int,
        mark: int,
        high_water_mark: int,
    ) -> None:
        self.intake = Intake(receive, self._go_on, batch=batch, mark=mark)
        #: Messages that did not have two frames.
        self.malformed = 0
        #: A SUB socket is not told what a publisher had no room for; ours have room, or conflate.
        self.lost = 0
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
                if not payload or payload[0] != BRACE:
                    while (not payload or payload[0] != BRACE) and self.socket.getsockopt(zmq.RCVMORE):
                        append((topic, b""))
                        self.malformed += 1
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
                self.malformed += 1
            return False
        return True

    @property
    def received(self) -> int:
        """Messages that were read."""
        return self.intake.messages

    @property
    def conflated(self) -> int:
        """Ticks that a newer one replaced while the receiver was busy."""
        return self.intake.conflated

    def backlog(self) -> int:
        """What has been read and waits for the receiver; ZeroMQ does not tell what it holds itself."""
        return self.intake.backlog()

    def _go_on(self) -> None:
        """The receiver has time again. What came meanwhile has used up the descriptor's edge."""
        if self.factory is not None:
            self._later(0, self.doRead)


class Publisher(ConflatingPublisher, ZmqSocket):
    """Publishes ticks and orders; implements `openalgo_ws.bus.interface.BusPublisher`.

    Ticks published in one reactor turn travel as one message per feed. When a subscriber is too
    slow and its queue is full (XPUB_NODROP makes that visible), the latest record per instrument
    is kept and sent when there is room.
    """

    socketType = zmq.PUB

    def __init__(self, factory: ZmqFactory, high_water_mark: int, batch: int) -> None:
        self._queue = Conflator(self._sent, batch=batch, updates=high_water_mark)
        super().__init__(factory, high_water_mark)
        self.socket.setsockopt(zmq.XPUB_NODROP, 1)

    def publish(self, feed: str, record: TickRecord) -> None:
        """Publish one tick with the others of this turn."""
        if self.factory is not None and self._queue.add(feed, record):
            self._later(0, self._flush)

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        """Publish an order update under the platform's own topic ``<BROKER>_<user>_orders``."""
        if self.factory is not None and not self._queue.add_order(broker, user, update):
            self._later(0.01, self._flush)

    def doRead(self) -> None:
        """A PUB socket has nothing to read, but its descriptor tells when a full pipe has room."""
        if self.factory is None or not self._ready:
            return
        self.socket.getsockopt(zmq.EVENTS)
        if self._queue.stuck:
            self._flush()

    def shutdown(self) -> None:
        """Close the socket; what waits for room is given up."""
        self._queue.clear()
        super().shutdown()

    def _sent(self, topic: bytes, payload: bytes) -> bool:
        try:
            self.socket.send_multipart((topic, payload), zmq.NOBLOCK)
        except zmq.Again:
            return False
        # Sending may consume the descriptor's edge: see libzmq's notes on ZMQ_FD.
        self.socket.getsockopt(zmq.EVENTS)
        return True

    def _flush(self) -> None:
        self._queue.flush()
        if self._queue.stuck:
            # The descriptor usually tells first; this is for an edge that was missed.
            self._later(0.01, self._flush)
