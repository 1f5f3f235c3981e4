"""The simulator's time and chance."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from random import Random

from twisted.internet.interfaces import IReactorTime

__all__ = ["SimulatedEnvironment"]

_IST = timezone(timedelta(hours=5, minutes=30))


class SimulatedEnvironment:
    """An `openalgo_ws.adapter.Environment` on a Twisted clock.

    ``start`` is the epoch second at which the clock shows 0: 0 for a reactor, whose clock shows
    the epoch already; a `Clock` of a test begins at 0 and gets a day to begin on. With a ``seed``
    the random bytes repeat.
    """

    def __init__(self, clock: IReactorTime, *, start: float = 0.0, seed: int | None = None) -> None:
        self._clock = clock
        self._offset = start
        self._random = Random(seed)

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return float(self._clock.seconds()) + self._offset

    def random(self, n: int) -> bytes:
        """``n`` random bytes (repeatable, so not for secrets)."""
        return self._random.randbytes(n)

    def jump(self, seconds: float) -> None:
        """Set the time of day forward (or back); timers don't notice."""
        self._offset += seconds

    def today(self) -> date:
        """The day in India."""
        return datetime.fromtimestamp(self.now(), _IST).date()
