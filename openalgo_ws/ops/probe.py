"""Latency from the feeds to the clients, measured by a tick of our own.

Four times a second a record is published under a feed that no user has. It travels as every tick
does, through the bus, the router and an outbox, among the others and with their delays, to a client
that is nothing but a clock. So the way is measured as it is at present, and ticks need no time stamp.
What is not in it: the broker's network, the codec before it, a client's throttle, the network after.

The record says when it was sent by the reactor's clock, which is the machine's monotonic one: worker
processes have such a client, too, and measure their own way with the same records.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from openalgo_ws.bus.records import TickRecord, TickSink
from openalgo_ws.gateway.channel import ChannelKey
from openalgo_ws.gateway.formats import OPENALGO
from openalgo_ws.gateway.router import Router
from openalgo_ws.gateway.writer import ClientWriter
from openalgo_ws.ops.histogram import Histogram
from openalgo_ws.tick import Mode

__all__ = ["FEED", "Probe", "ProbeEar"]

#: Begins with a character that no user's name does.
FEED = "\x00probe"
#: When a record was sent: microseconds of the reactor's clock.
_SENT = re.compile(rb'"timestamp":(\d+)')
#: So many of the latest values are kept for percentiles: five minutes'.
_KEPT = 1200
#: One that has not arrived after so long (seconds) has been lost: the bus was not there yet.
_LOST = 10.0


class _Arrival:
    """The transport of a client that only notes when something comes."""

    def __init__(self, arrived: Callable[[bytes], None]) -> None:
        self._arrived = arrived

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """It never asks anybody to pause."""

    def write(self, data: bytes) -> None:
        """Something came."""
        self._arrived(data)


class ProbeEar(Service):
    """Measures how long the records of a probe, perhaps in another process, take to get here."""

    name = "probe"

    def __init__(self, clock: IReactorTime, router: Router) -> None:
        self._clock = clock
        self._router = router
        self._writer = ClientWriter(_Arrival(self._arrived), clock, self, high_water=1, patience=1.0)
        #: How many have arrived, and how long they took (seconds).
        self.arrivals = 0
        self.latencies = Histogram()
        self._latest: deque[float] = deque(maxlen=_KEPT)
        self._fresh: list[float] = []

    def startService(self) -> None:
        """Begin to listen."""
        super().startService()  # type: ignore[no-untyped-call]
        key = ChannelKey(Mode.LTP, 0, OPENALGO, None, 0.0)
        self._router.delivery.attach(self._writer)
        self._router.subscribe(self._writer, FEED, "", "", key)

    def stopService(self) -> None:
        """Listen no more."""
        if self.running:
            self._router.delivery.detach(self._writer)
        super().stopService()  # type: ignore[no-untyped-call]
        self._writer.close()

    @property
    def waiting(self) -> float:
        """How long the one that is on its way has taken until now (seconds); 0 where none is known."""
        return 0.0

    def percentile(self, share: float) -> float | None:
        """The latency (seconds) that this share (0 to 1) of the last minutes' did not exceed."""
        return _percentile(sorted(self._latest), share)

    def fresh(self) -> tuple[float | None, float | None]:
        """Median and 99th percentile (seconds) of those that arrived since this was last asked."""
        fresh, self._fresh = sorted(self._fresh), []
        return _percentile(fresh, 0.5), _percentile(fresh, 0.99)

    def _arrived(self, data: bytes) -> None:
        sent = _SENT.search(data)
        # What is told on joining, a last value, was late by its nature.
        if sent is None or b'"snapshot"' in data:
            return
        took = max(0.0, self._clock.seconds() - int(sent[1]) / 1e6)
        self.arrivals += 1
        self.latencies.add(took)
        self._latest.append(took)
        self._fresh.append(took)
        # Whoever asks does so every second; without anybody the list must not grow.
        del self._fresh[:-_KEPT]

    def overflowed(self, writer: ClientWriter) -> None:
        """Part of `WriterOwner`: never, as nothing waits."""

    def drained(self, writer: ClientWriter) -> None:
        """Part of `WriterOwner`: never, as nothing waits."""

    def stalled(self, writer: ClientWriter) -> None:
        """Part of `WriterOwner`: never, as nothing waits."""


class Probe(ProbeEar):
    """See the module. One record is on its way at a time: where the bus is full it isn't filled more."""

    def __init__(self, clock: IReactorTime, sink: TickSink, router: Router, interval: float = 0.25) -> None:
        super().__init__(clock, router)
        self._sink = sink
        self._interval = interval
        self._number = 0
        self._sent_at: float | None = None
        self._loop = LoopingCall(self._send)
        self._loop.clock = clock

    def startService(self) -> None:
        """Begin to measure."""
        super().startService()
        self._loop.start(self._interval, now=False)

    def stopService(self) -> None:
        """Measure no more."""
        if self._loop.running:
            self._loop.stop()
        super().stopService()

    @property
    def waiting(self) -> float:
        """How long the one that is on its way has taken until now (seconds); 0 where none is."""
        return 0.0 if self._sent_at is None else self._clock.seconds() - self._sent_at

    def _send(self) -> None:
        if self._sent_at is None or self.waiting > _LOST:
            self._number += 1
            self._sent_at = self._clock.seconds()
            body = b'{"ltp":%d,"timestamp":%d}' % (self._number, round(self._sent_at * 1e6))
            self._sink.publish(FEED, TickRecord("", "", Mode.LTP, 0, 0, len(body) - 1, 0, body))

    def _arrived(self, data: bytes) -> None:
        # One that was given up does not count.
        if self._sent_at is not None and b'"ltp":%d,' % self._number in data:
            self._sent_at = None
            super()._arrived(data)


def _percentile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
