"""From the feed process to its workers: everything that is on the bus, over one ZeroMQ pipe each.

A worker that does not keep up is no other's business: what it has not taken waits for it alone, and
beyond a mark only the latest value of each instrument does (`openalgo_ws.bus.intake`). Messages travel
as they came, many in one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import zmq
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from txzmq import ZmqFactory

from openalgo_ws.bus.demand import Hold
from openalgo_ws.bus.intake import Intake, Message, Receive
from openalgo_ws.bus.records import (
    LAST_VALUES,
    TickRecord,
    pack,
    pack_messages,
    topic_for,
    unpack_messages,
)
from openalgo_ws.bus.zeromq import BusEndpoint, ZmqSocket
from openalgo_ws.gateway.line import Line
from openalgo_ws.gateway.router import Router
from openalgo_ws.gateway.ticks import ForeignTick, RoutedTick

__all__ = ["Fanout", "LastValues", "WorkerBus", "WorkerLink"]

#: Packets (each some hundred messages) that may be on their way to a worker.
_PACKETS = 64
#: Seconds after which a pipe that was full is tried again; its descriptor usually tells first.
_RETRY = 0.01
#: Instruments whose last values are sent in one turn.
_PORTION = 200


class WorkerLink(ZmqSocket):
    """The way to one worker. Begin with `attach`, end with `shutdown`."""

    socketType = zmq.PUSH

    def __init__(self, factory: ZmqFactory) -> None:
        self._unsent: bytes | None = None
        self._room: Deferred[None] | None = None
        self.intake = Intake(self._pass_on, self._soon)
        #: Messages that found no room at all: a worker that takes nothing is replaced before long.
        self.dropped = 0
        super().__init__(factory, _PACKETS)

    def send(self, messages: list[Message]) -> None:
        """Send messages, or keep them until there is room."""
        if not self.intake.size:
            self.dropped += len(messages)
            return
        if self.intake.take(messages, False):
            self._soon()

    def doRead(self) -> None:
        """There is nothing to read, but the descriptor tells of room."""
        if self.factory is None or not self._ready:
            return
        self.socket.getsockopt(zmq.EVENTS)
        if self._unsent is not None:
            self._turn()

    def _pass_on(self, messages: list[Message]) -> Deferred[None] | None:
        data = pack_messages(messages)
        if self._sent(data):
            return None
        self._unsent = data
        self._room = Deferred()
        self._later(_RETRY, self._turn)
        return self._room

    def _soon(self) -> None:
        if self.factory is not None:
            self._later(0, self._turn)

    def _turn(self) -> None:
        """Send what found no room, or else what waits behind it. The one thing that the timer calls."""
        if self._unsent is None or self._room is None:
            if self.intake.take([], False):
                self._soon()
        elif self._sent(self._unsent):
            room, self._room, self._unsent = self._room, None, None
            room.callback(None)
        else:
            self._later(_RETRY, self._turn)

    def _sent(self, data: bytes) -> bool:
        try:
            self.socket.send(data, zmq.NOBLOCK)
        except zmq.Again:
            return False
        # Sending may consume the descriptor's edge: see libzmq's notes on ZMQ_FD.
        self.socket.getsockopt(zmq.EVENTS)
        return True


class WorkerBus(ZmqSocket):
    """The worker's end of a `WorkerLink`: hands what the feed process passes on to ``receive``."""

    socketType = zmq.PULL

    def __init__(self, factory: ZmqFactory, receive: Receive) -> None:
        self.intake = Intake(receive, self._go_on)
        super().__init__(factory, _PACKETS)

    def doRead(self) -> None:
        """Take what has arrived, at most a batch; the rest has its turn in the next iteration."""
        if self.factory is None or not self._ready:
            return
        messages: list[Message] = []
        more = True
        try:
            while len(messages) < self.intake.size:
                messages += unpack_messages(self.socket.recv(zmq.NOBLOCK))
        except zmq.Again:
            # The edge-triggered descriptor will tell of the next packet.
            more = False
        if self.intake.take(messages, more):
            self._later(0, self.doRead)

    def _go_on(self) -> None:
        if self.factory is not None:
            self._later(0, self.doRead)


class Fanout:
    """The links to all workers, by name."""

    def __init__(self, reactor: Any) -> None:
        self._factory = ZmqFactory()
        self._factory.reactor = reactor
        self._factory.lingerPeriod = 0
        self.links: dict[str, WorkerLink] = {}

    def add(self, name: str, address: str) -> None:
        """A worker will connect to this address."""
        link = WorkerLink(self._factory)
        link.attach([BusEndpoint(address, bind=True)])
        self.links[name] = link

    def remove(self, name: str) -> None:
        """A worker is gone."""
        link = self.links.pop(name, None)
        if link is not None:
            link.shutdown()

    def receive(self, messages: Sequence[Message]) -> None:
        """Pass on what came from the bus."""
        own = [message for message in messages if message[0] != LAST_VALUES]
        for link in self.links.values():
            link.send(own)

    def shutdown(self) -> None:
        """End all links."""
        self.links.clear()
        self._factory.shutdown()


class LastValues:
    """Sends a worker the last values of what it begins to hold; a `HoldObserver`.

    They are the router's, which keeps them as long as any worker holds the instrument, and a while
    longer. What has been sent to the workers is what the router knows, so they come in the right order.
    """

    def __init__(
        self, clock: IReactorTime, router: Router, links: Callable[[str], WorkerLink | None]
    ) -> None:
        self._clock = clock
        self._router = router
        self._links = links
        #: (feed, symbol, exchange) → its line, with how often each gateway holds it (in several modes).
        self._lines: dict[tuple[str, str, str], Line] = {}
        self._holds: Counter[tuple[str, str, str, str]] = Counter()
        self._asked: dict[tuple[str, Line], None] = {}
        self._call: IDelayedCall | None = None

    def asked(self, feed: str, symbol: str, exchange: str) -> None:
        """Part of `HoldObserver`."""
        self._router.expect(feed, symbol, exchange)

    def refused(self, feed: str, symbol: str, exchange: str) -> None:
        """Part of `HoldObserver`."""
        self._router.expect_no_more(feed, symbol, exchange)

    def held(self, gateway: str, hold: Hold) -> None:
        """Part of `HoldObserver`."""
        key = (hold.feed, hold.symbol, hold.exchange)
        self._holds[(gateway, *key)] += 1
        line = self._lines[key] = self._router.keep(*key)
        if self._holds[(gateway, *key)] == 1:
            self._asked[gateway, line] = None
            if self._call is None:
                self._call = self._clock.callLater(0, self._send)

    def given_back(self, gateway: str, hold: Hold) -> None:
        """Part of `HoldObserver`."""
        key = (hold.feed, hold.symbol, hold.exchange)
        line = self._lines[key]
        self._router.give_up(line)
        if not line.kept:
            del self._lines[key]
        self._holds[(gateway, *key)] -= 1
        if not self._holds[(gateway, *key)]:
            del self._holds[(gateway, *key)]
            self._asked.pop((gateway, line), None)

    def symbols(self) -> set[tuple[str, str]]:
        """The instruments that gateways hold, as exchange and symbol."""
        return {(exchange, symbol) for _, symbol, exchange in self._lines}

    def stop(self) -> None:
        """End the timer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _send(self) -> None:
        self._call = None
        for gateway, line in [key for key, _ in zip(self._asked, range(_PORTION), strict=False)]:
            del self._asked[gateway, line]
            link = self._links(gateway)
            messages = [_message(line, tick) for tick in line.lasts()]
            if link is not None and messages:
                link.send([(LAST_VALUES, pack_messages(messages))])
        if self._asked:
            self._call = self._clock.callLater(0, self._send)


def _message(line: Line, tick: RoutedTick) -> Message:
    """The message that brings a tick."""
    if isinstance(tick, ForeignTick):
        return f"{line.exchange}_{line.symbol}_{tick.mode.name}".encode(), tick.body
    assert isinstance(tick, TickRecord)
    return topic_for(line.feed), pack([tick])
