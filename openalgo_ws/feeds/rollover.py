"""The daily rollover: when tokens expire, and how often to look for new ones afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta, timezone

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.adapter import Environment
from openalgo_ws.feeds.timers import Timers

__all__ = ["IST", "Rollover"]

#: Indian Standard Time, which has no daylight saving.
IST = timezone(timedelta(hours=5, minutes=30), "IST")
#: Past the expiry, so that a login at that very moment has been written.
_GRACE = 5.0


class Rollover:
    """Calls ``look()`` after every expiry, and again every ``recheck`` seconds while it returns True
    (some account has not got new credentials yet). ``expiry`` is a time of day in IST.

    The wall clock is asked every ``recheck`` seconds, since it may jump and a machine may sleep."""

    def __init__(
        self,
        clock: IReactorTime,
        environment: Environment,
        *,
        expiry: time,
        recheck: float,
        look: Callable[[], bool],
    ) -> None:
        self._environment = environment
        self._expiry = expiry
        self._recheck = recheck
        self._look = look
        self._timers = Timers(clock)
        #: The expiry that has been seen to, or came before the start.
        self._seen = 0.0

    def start(self) -> None:
        """Wait for the next expiry."""
        self._seen = self.last()
        self._wait(self._until_next() + _GRACE)

    def stop(self) -> None:
        """Look no more."""
        self._timers.clear()

    def last(self) -> float:
        """When tokens expired last (epoch seconds)."""
        return self._environment.now() + self._until_next() - 86_400

    def _until_next(self) -> float:
        now = datetime.fromtimestamp(self._environment.now(), IST)
        due = datetime.combine(now.date(), self._expiry, IST)
        if due <= now:
            due += timedelta(days=1)
        return (due - now).total_seconds()

    def _wait(self, seconds: float) -> None:
        self._timers.set("expiry", min(seconds, self._recheck), self._look_at_clock)

    def _look_at_clock(self) -> None:
        expired = self.last()
        age = self._environment.now() - expired
        if abs(expired - self._seen) < 1.0:
            self._wait(self._until_next() + _GRACE)
        elif age < _GRACE:
            self._wait(_GRACE - age)
        else:
            self.start()
            self._again()

    def _again(self) -> None:
        if self._look():
            self._timers.set("recheck", self._recheck, self._again)
        else:
            self._timers.cancel("recheck")
