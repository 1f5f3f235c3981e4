"""Whose ticks of a feed count: of the processes that led it, the one that leads now. Sans-I/O.

A lease sees to it that one process serves a feed at a time, and whoever loses it publishes no more. But a
process that is halted (a suspended machine, a frozen container) may have ticks on their way that leave when
it goes on, before it can look at a clock: they would come after those of its successor, and nothing would
correct them before the next tick. So ticks bear the number of the term in which they were published, which
the lease's store counts upwards, and receivers pass over what is of an earlier term than they have seen (a
fencing token).

A store that has lost its files counts from the beginning. Therefore an earlier term that goes on, while
nothing is heard of the later one, is taken for the present one in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IReactorTime

__all__ = ["PATIENCE", "Terms"]

#: For how long an earlier term may go on before it counts (seconds): nothing stays on its way for so long.
PATIENCE: Final = 10.0
#: Feeds that are remembered.
_FEEDS = 10_000


class Terms:
    """What has been seen of each feed's terms. ``begun_anew`` is told of a feed whose terms are counted from
    the beginning again: what it said in the last moments has been passed over."""

    def __init__(self, clock: IReactorTime, begun_anew: Callable[[bytes], None]) -> None:
        self._clock = clock
        self._begun_anew = begun_anew
        self._present: dict[bytes, int] = {}
        #: The feeds of which an earlier term is heard, and since when.
        self._earlier: dict[bytes, float] = {}

    def counts(self, feed: bytes, term: int) -> bool:
        """Whether a tick that was published under this feed's topic in this term is to be passed on."""
        present = self._present.get(feed)
        if present == term:
            if self._earlier:
                self._earlier.pop(feed, None)
            return True
        if present is None or term > present:
            self._begin(feed, term)
            return True
        now = self._clock.seconds()
        if now - self._earlier.setdefault(feed, now) < PATIENCE:
            return False
        self._begin(feed, term)
        self._begun_anew(feed)
        return True

    def _begin(self, feed: bytes, term: int) -> None:
        self._earlier.pop(feed, None)
        self._present.pop(feed, None)
        self._present[feed] = term
        if len(self._present) > _FEEDS:
            oldest = next(iter(self._present))
            del self._present[oldest]
            self._earlier.pop(oldest, None)
