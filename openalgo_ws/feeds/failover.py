"""Failover: which of several accounts serves a logical feed, and when that changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from openalgo_ws.bus.demand import FeedState
from openalgo_ws.feeds.interfaces import FeedSettings
from openalgo_ws.feeds.session import Session
from openalgo_ws.feeds.timers import Timers

__all__ = ["Failover", "Served"]

#: States out of which a feed doesn't come by itself within the time that its clients are promised.
_DOWN_FOR_LONG = (FeedState.STALE, FeedState.AUTH_FAILED, FeedState.DISCONNECTED)
#: A return that failed is tried again after twice the time, up to so many times the first.
_MOST_PATIENCE = 16
#: Seconds for which a feed that was given up again and again is left alone, at most.
_MOST_HOLD = 60.0


class Served(Protocol):
    """Who is moved: the logical feed."""

    def take_over(self, session: Session) -> None:
        """Let the session serve everything now."""

    def begin_return(self, session: Session) -> None:
        """Ask the session for everything, and let it serve each instrument from its first tick on."""

    def has_returned(self, session: Session) -> bool:
        """Whether any instrument has arrived at the session since `begin_return`."""

    def call_off_return(self, session: Session) -> None:
        """Let the session that served before serve everything again."""


class Failover:
    """Watches the sessions of a logical feed, the preferred one first.

    When the active one has been down for `FeedSettings.failover` (at once if it is stale or refused)
    the first that is connected takes over. When a preferred one has been connected for
    `FeedSettings.take_back` it takes back, without a gap; but if it brings not one tick meanwhile
    the return is called off, and tried again after twice the time. One that was just given up isn't
    taken again for `FeedSettings.failover`, and for twice as long each time this comes about anew.
    """

    def __init__(
        self,
        clock: IReactorTime,
        settings: FeedSettings,
        sessions: Callable[[], list[Session]],
        served: Served,
    ) -> None:
        self._clock = clock
        self._settings = settings
        #: In order of preference.
        self._sessions = sessions
        self._served = served
        self._timers = Timers(clock)
        self.active: Session | None = None
        #: The preferred session that is taking back.
        self.returning: Session | None = None
        self._up_since: dict[Session, float] = {}
        self._down_since: dict[Session, float] = {}
        #: Sessions that have been connected at least once.
        self._proven: set[Session] = set()
        self._patience = 1
        #: Sessions that have just been given up → when they may be taken again. How a session is
        #: depends on what it carries: without this two lame ones would pass the ball without end.
        self._given_up: dict[Session, float] = {}
        self._hold = settings.failover
        self._restless_until = 0.0

    def stop(self) -> None:
        """Watch no more."""
        self._timers.clear()

    def forget(self, session: Session) -> None:
        """The session has been replaced."""
        self._up_since.pop(session, None)
        self._down_since.pop(session, None)
        self._proven.discard(session)
        self._given_up.pop(session, None)
        if self.active is session:
            self.active = None
        if self.returning is session:
            self.returning = None

    def look(self) -> None:
        """Something changed: decide."""
        sessions = self._sessions()
        now = self._clock.seconds()
        for session in sessions:
            if session.state is FeedState.CONNECTED:
                self._down_since.pop(session, None)
                self._up_since.setdefault(session, now)
                self._proven.add(session)
            else:
                self._up_since.pop(session, None)
                self._down_since.setdefault(session, now)
        if self.active is None and sessions:
            self.active = sessions[0]
        if self.active is None or len(sessions) < 2:
            return
        if self.returning is not None and self.returning not in self._up_since:
            self._call_off()
        if self.active in self._down_since:
            self._replace(self.active, sessions, now)
        elif self.returning is None:
            self._consider_return(sessions[: sessions.index(self.active)], now)

    def _replace(self, active: Session, sessions: list[Session], now: float) -> None:
        patience = self._settings.failover if active in self._proven else self._settings.first_login
        if active.state in _DOWN_FOR_LONG:
            patience = 0
        wait = self._down_since[active] + patience - now
        if wait > 0:
            self._timers.set("look", wait, self.look)
            return
        up = [session for session in sessions if session in self._up_since]
        free = [session for session in up if self._given_up.get(session, 0.0) <= now]
        if free:
            again = now < self._restless_until
            self._hold = min(2 * self._hold, _MOST_HOLD) if again else self._settings.failover
            self._restless_until = now + self._hold + _MOST_HOLD
            self._given_up[active] = now + self._hold
            self._settle_on(free[0])
        elif up:
            self._timers.set("look", min(self._given_up[session] for session in up) - now, self.look)

    def _consider_return(self, preferred: list[Session], now: float) -> None:
        for session in preferred:
            if session in self._up_since:
                wait = self._up_since[session] + self._settings.take_back * self._patience - now
                if wait > 0:
                    self._timers.set("look", wait, self.look)
                    return
                self.returning = session
                self._timers.set("return", self._settings.overlap, self._end_return)
                self._served.begin_return(session)
                return

    def all_returned(self) -> None:
        """Everything has arrived at the session that takes back."""
        if self.returning is not None:
            self._patience = 1
            self._settle_on(self.returning)

    def _end_return(self) -> None:
        session = self.returning
        if session is None:
            return
        if self._served.has_returned(session):
            self.all_returned()
        else:
            self._call_off()
            # It counts as just come up: the time until the next attempt begins now.
            self._up_since[session] = self._clock.seconds()
            self.look()

    def _call_off(self) -> None:
        session, self.returning = self.returning, None
        self._timers.cancel("return")
        self._patience = min(2 * self._patience, _MOST_PATIENCE)
        if session is not None:
            self._served.call_off_return(session)

    def _settle_on(self, session: Session) -> None:
        self.active, self.returning = session, None
        self._timers.clear()
        self._served.take_over(session)
        self.look()
