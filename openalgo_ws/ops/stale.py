"""A word in the log when a feed that should tick does not and no alert tells of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

__all__ = ["StaleWatch"]


class _Calendar(Protocol):
    def in_session(self, exchange: str, now: float) -> bool:
        """Whether an exchange trades at that time (epoch seconds)."""


class StaleWatch(Service):
    """Notes when each feed last published something.

    ``held`` tells for each feed the exchanges of which something is held, ``published`` how many
    ticks each has published. A feed is warned of once, and again after it has ticked in between.
    A feed of which ``alerted`` says so has an alert that tells the same, and no word here.
    Connections have a watchdog of their own that dials anew; this is for the person who reads the log.
    """

    log = Logger()
    name = "stale"

    def __init__(
        self,
        clock: IReactorTime,
        *,
        after: float,
        published: Callable[[], Mapping[str, int]],
        held: Callable[[], Mapping[str, Set[str]]],
        calendar: _Calendar,
        now: Callable[[], float],
        alerted: Callable[[str], bool],
    ) -> None:
        self._clock = clock
        self._after = after
        self._published = published
        self._held = held
        self._calendar = calendar
        self._now = now
        self._alerted = alerted
        #: Feed → what it had published when that was last seen to grow, and when that was.
        self._seen: dict[str, tuple[int, float]] = {}
        self._warned: set[str] = set()
        self._loop = LoopingCall(self._look)
        self._loop.clock = clock

    def startService(self) -> None:
        """Begin to look."""
        super().startService()  # type: ignore[no-untyped-call]
        self._loop.start(self._after / 4, now=False)

    def stopService(self) -> None:
        """Look no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()

    def due(self) -> set[str]:
        """The feeds that hold something of an exchange that trades now."""
        wall = self._now()
        return {
            feed
            for feed, exchanges in self._held().items()
            if any(self._calendar.in_session(exchange, wall) for exchange in exchanges)
        }

    def _look(self) -> None:
        now, due, published = self._clock.seconds(), self.due(), self._published()
        for feed in self._seen.keys() - due:
            del self._seen[feed]
        self._warned &= due
        for feed in due:
            count = published.get(feed, 0)
            before = self._seen.get(feed)
            if before is None or count > before[0]:
                self._seen[feed] = (count, now)
                self._warned.discard(feed)
            elif now - before[1] >= self._after and feed not in self._warned:
                self._warned.add(feed)
                if self._alerted(feed):
                    continue
                self.log.warn("feed {feed}: no tick for {seconds:.0f} s", feed=feed, seconds=now - before[1])
