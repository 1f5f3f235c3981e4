"""Which symbols tick most. Looked at only while somebody looks on, a few thousand a turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import nlargest

import msgspec
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from openalgo_ws.gateway.line import Line
from openalgo_ws.ops.probe import FEED as PROBE

__all__ = ["Busiest", "Rate"]

#: Seconds from one look to the next, and instruments that are looked at in one turn (a millisecond).
_INTERVAL, _PORTION = 3.0, 2000
_SHOWN = 12

Name = tuple[str, str, str]


class Rate(msgspec.Struct, frozen=True):
    """An instrument of a feed, and how often it ticks (ticks a second)."""

    feed: str
    symbol: str
    exchange: str
    rate: float


class Busiest:
    """``lines`` gives every instrument there is. Begins with `start`, ends with `stop`."""

    def __init__(self, clock: IReactorTime, lines: Callable[[], Iterator[Line]]) -> None:
        self._clock = clock
        self._lines = lines
        self._call: IDelayedCall | None = None
        self._before: dict[Name, int] = {}
        self._since = 0.0
        #: The busiest at the last look, busiest first.
        self.rates: list[Rate] = []

    def start(self) -> None:
        """Look from now on."""
        if self._call is None:
            self._call = self._clock.callLater(0, self._look)

    def stop(self) -> None:
        """Look no more, and forget."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._before = {}
        self.rates = []

    def _look(self) -> None:
        self._continue(self._lines(), {}, self._clock.seconds())

    def _continue(self, lines: Iterator[Line], seen: dict[Name, int], began: float) -> None:
        for _ in range(_PORTION):
            line = next(lines, None)
            if line is None:
                self._done(seen, began)
                self._call = self._clock.callLater(_INTERVAL, self._look)
                return
            if line.feed != PROBE:
                seen[line.feed, line.symbol, line.exchange] = line.ticks
        self._call = self._clock.callLater(0, self._continue, lines, seen, began)

    def _done(self, seen: dict[Name, int], began: float) -> None:
        before, passed = self._before, began - self._since
        self._before, self._since = seen, began
        if not before or passed <= 0:
            return
        # A line that was made anew has begun to count anew.
        grown = ((max(0, ticks - before.get(name, ticks)), name) for name, ticks in seen.items())
        top = nlargest(_SHOWN, grown)
        self.rates = [Rate(*name, round(ticks / passed, 2)) for ticks, name in top if ticks]
