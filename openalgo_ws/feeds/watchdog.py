"""Notices a connection that is live, looks well and brings nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.adapter import Environment
from openalgo_ws.feeds.timers import Timers

__all__ = ["Calendar", "Watchdog"]

#: While nothing is due the calendar is asked so often: the wall clock may jump.
_LOOK_AGAIN = 30.0
#: The longest silence, in seconds, before a feed that stalls again and again is replaced again.
_MOST_PATIENCE = 900.0


class Calendar(Protocol):
    """When exchanges are open (see `openalgo_ws.feeds.sessions`)."""

    def open_since(self, exchange: str, now: float) -> float | None:
        """When the session that runs at ``now`` began (both epoch seconds); None = not in session."""


class Watchdog:
    """Calls ``stalled`` when ticks are due and none came for the stall time.

    Ticks are due while the connection is live, something is wanted, and an exchange of it is in
    session; the stall time starts at the latest of: the login, the first wish, the opening of the
    session, the last tick. All spans are of the reactor's clock; the wall clock only picks the
    session. When one stall follows another the allowed silence doubles each time, up to 15 minutes:
    perhaps nobody trades what is wanted, or the day is a holiday that the calendar lacks. It is the
    stall time again once ticks have come later than that time after a login.
    """

    def __init__(
        self,
        clock: IReactorTime,
        environment: Environment,
        calendar: Calendar,
        stall_after: float,
        stalled: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._environment = environment
        self._calendar = calendar
        self._stall_after = stall_after
        self._patience = stall_after
        self._stalled = stalled
        self._timers = Timers(clock)
        self._wanted: Counter[str] = Counter()
        self._live_since: float | None = None
        self._quiet_until = 0.0
        self._last_tick: float | None = None

    @property
    def ticked(self) -> bool:
        """Whether a tick came since the last login."""
        return self._last_tick is not None

    def want(self, exchange: str, change: int) -> None:
        """``change`` more (or fewer) instruments of ``exchange`` are wanted."""
        were = bool(self._wanted)
        self._wanted[exchange] += change
        if self._wanted[exchange] <= 0:
            del self._wanted[exchange]
        if self._live_since is None or bool(self._wanted) == were:
            return
        if self._wanted:
            self._quiet_until = self._clock.seconds()
            self._look()
        else:
            self._timers.clear()

    def start(self) -> None:
        """The connection is live."""
        self._live_since = self._quiet_until = self._clock.seconds()
        self._last_tick = None
        if self._wanted:
            self._look()

    def stop(self) -> None:
        """The connection is live no more."""
        self._live_since = None
        self._timers.clear()

    def tick(self) -> float:
        """Ticks came. Returns the time."""
        now = self._last_tick = self._clock.seconds()
        if (
            self._patience > self._stall_after
            and self._live_since is not None
            and now >= self._live_since + self._stall_after
        ):
            self._patience = self._stall_after
            self._look()
        return now

    def _look(self) -> None:
        now = self._clock.seconds()
        opened = self._open_since()
        if opened is None:
            self._quiet_until = now
            self._timers.set("look", min(_LOOK_AGAIN, self._stall_after), self._look)
            return
        # In the reactor's time; an opening that seems to lie ahead (the clock was set back) is now.
        opened_at = now - max(0.0, self._environment.now() - opened)
        # What the last look saw closed can't have opened before it, whatever the wall clock says.
        begun = max(self._quiet_until, opened_at, self._last_tick or 0.0)
        remaining = begun + self._patience - now
        if remaining > 0:
            self._timers.set("look", remaining, self._look)
            return
        silence, self._patience = self._patience, min(self._patience * 2, max(_MOST_PATIENCE, self._patience))
        self.stop()
        self._stalled(f"no tick for {silence:g} s")

    def _open_since(self) -> float | None:
        now = self._environment.now()
        return min(self._openings(self._wanted, now), default=None)

    def _openings(self, exchanges: Iterable[str], now: float) -> Iterable[float]:
        for exchange in exchanges:
            opened = self._calendar.open_since(exchange, now)
            if opened is not None:
                yield opened
