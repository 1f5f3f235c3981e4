"""WS_STALE_TICK_WARN_SECONDS: a word in the log when a feed that should tick does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from openalgo_ws.bus.records import TickRecord, TickSink

__all__ = ["StaleWatch"]


class _Calendar(Protocol):
    def in_session(self, exchange: str, now: float) -> bool:
        """Whether an exchange trades at that time (epoch seconds)."""


class StaleWatch(Service):
    """A `TickSink` that passes everything on and notes when each feed last published.

    ``held`` tells for each feed the exchanges of which something is held. A feed is warned of once,
    and again after it has ticked in between. Connections have a watchdog of their own that dials
    anew; this is for the person who reads the log.
    """

    log = Logger()
    name = "stale"

    def __init__(
        self,
        clock: IReactorTime,
        sink: TickSink,
        *,
        after: float,
        held: Callable[[], Mapping[str, Set[str]]],
        calendar: _Calendar,
        now: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._sink = sink
        self._after = after
        self._held = held
        self._calendar = calendar
        self._now = now
        #: Feed → when it last published, or began to be due.
        self._since: dict[str, float] = {}
        self._warned: set[str] = set()
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def publish(self, feed: str, record: TickRecord) -> None:
        """Pass a tick on."""
        self._since[feed] = self._clock.seconds()
        self._sink.publish(feed, record)

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        """Pass an order update on."""
        self._sink.publish_order(broker, user, update)

    def startService(self) -> None:
        """Begin to look."""
        super().startService()  # type: ignore[no-untyped-call]
        self._loop.start(self._after / 4, now=False)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()

    def _look(self) -> None:
        now, wall = self._clock.seconds(), self._now()
        due = {
            feed
            for feed, exchanges in self._held().items()
            if any(self._calendar.in_session(exchange, wall) for exchange in exchanges)
        }
        for feed in self._since.keys() - due:
            del self._since[feed]
        self._warned &= due
        for feed in due:
            silence = now - self._since.setdefault(feed, now)
            if silence < self._after:
                self._warned.discard(feed)
            elif feed not in self._warned:
                self._warned.add(feed)
                self.log.warn("feed {feed}: no tick for {seconds:.0f} s", feed=feed, seconds=silence)
