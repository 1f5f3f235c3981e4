"""The bus on ZeroMQ: a publisher that never loses the latest, and who subscribes to it.

What publishes is a txZMQ connection, and so is what receives inside the process. Stock txZMQ reads until the
socket is empty, so a flood would starve the reactor, and logs a context for every message (7 µs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import zmq
from twisted.internet.defer import Deferred, DeferredList
from txzmq import ZmqFactory

from openalgo_ws.bus.conflate import ConflatingPublisher, Conflator
from openalgo_ws.bus.intake import BATCH
from openalgo_ws.bus.interface import Bus, Receive
from openalgo_ws.bus.records import TickRecord
from openalgo_ws.bus.zmq_socket import BusEndpoint, ZmqSocket
from openalgo_ws.bus.zmq_subscriber import Subscriber

__all__ = ["Publisher", "ZmqBus"]


class ZmqBus:
    """Owns the ZeroMQ context, and every socket and connection made from it."""

    def __init__(self, reactor: Any) -> None:
        self._subscribers: list[Subscriber] = []
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
        """A subscriber to all topics; ``mark`` is `Intake`'s, ``high_water_mark`` the messages that may wait
        from inside the process. zmq.ZMQError and BusAddressError if an address can't be had."""
        subscriber = Subscriber(
            self._factory, receive, endpoints, batch=batch, mark=mark, high_water_mark=high_water_mark
        )
        self._subscribers.append(subscriber)
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

    def shutdown(self) -> Deferred[Any]:
        """Close everything and the context; fires when the addresses are free."""
        closing = DeferredList([subscriber.shutdown() for subscriber in self._subscribers])
        self._subscribers.clear()
        self._factory.shutdown()
        return closing


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
        self._made: list[Publisher | Subscriber] = []

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
            self._next.start()

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        """Publish an order update under the platform's own topic ``<BROKER>_<user>_orders``."""
        if self.factory is not None and not self._queue.add_order(broker, user, update):
            self._next.start(0.01)

    def doRead(self) -> None:
        """A PUB socket has nothing to read, but its descriptor tells when a full pipe has room."""
        if self.factory is None or not self._ready:
            return
        self.socket.getsockopt(zmq.EVENTS)
        if self._queue.stuck:
            self._due()

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

    def _due(self) -> None:
        self._queue.flush()
        if self._queue.stuck:
            # The descriptor usually tells first; this is for an edge that was missed.
            self._next.start(0.01)
