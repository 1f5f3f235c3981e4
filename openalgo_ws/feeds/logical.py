"""The logical feed: what serves a user under one tag, whichever account it comes from.

It counts who wants what, per instrument, and has `Sourcing` ask a session for the richest of it.
With several accounts the instruments move between their sessions when `Failover` says so; the tag
on the bus stays the same, so whoever listens need not know.

The accounts in reserve keep one connection each open, logged in and without instruments: taking
over is then one subscribe frame, not a login, and costs the reserve nothing but a socket.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from openalgo_ws.bus.demand import Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.feeds.interfaces import FeedSettings, Key
from openalgo_ws.feeds.session import Session
from openalgo_ws.feeds.sourcing import Entry, Sourcing
from openalgo_ws.feeds.timers import Timers
from openalgo_ws.feeds.wishes import decimals, poorer, richest
from openalgo_ws.tick import Wish

__all__ = ["LogicalFeed", "LogicalFeedListener"]

_REFUSED = (FeedState.AUTH_FAILED, FeedState.DISCONNECTED)


class LogicalFeedListener(Protocol):
    """Who hears of a logical feed."""

    def feed_changed(self, feed: LogicalFeed, status: Status) -> None:
        """It is in another state, or another account serves."""

    def feed_refused(self, feed: LogicalFeed, key: Key, denied: Denied) -> None:
        """What was granted is not served."""

    def feed_idle(self, feed: LogicalFeed) -> None:
        """Nobody has held anything for a while."""


class LogicalFeed:
    """See the module. ``accounts`` are those of the plan; their sessions come with `attach`."""

    _log = Logger()

    def __init__(
        self,
        tag: str,
        accounts: Sequence[str],
        *,
        clock: IReactorTime,
        settings: FeedSettings,
        listener: LogicalFeedListener,
    ) -> None:
        self.tag = tag
        self.accounts = tuple(accounts)
        self._settings = settings
        self._clock = clock
        self._listener = listener
        self._timers = Timers(clock)
        self._sessions: dict[str, Session] = {}
        self._sourcing = Sourcing(
            tag,
            clock=clock,
            settings=settings,
            sessions=self.sessions,
            refused=self._refused,
            moved=self._report,
        )
        #: Instruments that somebody gave back → when they are given up, or asked for less.
        self._lingering: OrderedDict[Key, float] = OrderedDict()
        #: Instruments on sessions that are refused, whose holders have not been told yet.
        self._untold: set[Key] = set()
        #: Sessions whose refusal has been told.
        self._told_refused: set[Session] = set()
        self._told: Status | None = None
        self.touch()

    # Accounts

    def sessions(self) -> list[Session]:
        """The sessions there are, the preferred one first."""
        return [self._sessions[account] for account in self.accounts if account in self._sessions]

    def attach(self, session: Session) -> None:
        """One of the accounts has this session from now on (in place of an earlier one)."""
        old = self._sessions.get(session.account)
        if old is session:
            return
        self._sessions[session.account] = session
        if len(self.accounts) > 1:
            session.keep_warm(self.tag, True)
        if old is None:
            self._sourcing.look()
            self._sourcing.retry()
        else:
            self._sourcing.replace(old, session)
            old.keep_warm(self.tag, False)
            self._told_refused.discard(old)
            self._report()

    def retry(self) -> None:
        """Ask again for what was refused: there are other credentials, or another master."""
        self._sourcing.retry()

    def close(self) -> None:
        """End every timer and let go of the sessions."""
        self._timers.clear()
        self._sourcing.stop()
        for session in self.sessions():
            session.keep_warm(self.tag, False)

    def session_changed(self, session: Session) -> None:
        """One of the sessions is in another state."""
        self._sourcing.look()
        if session.state not in _REFUSED:
            self._told_refused.discard(session)
        elif session not in self._told_refused:
            self._told_refused.add(session)
            self._untold.update(key for key, entry in self._sourcing.entries.items() if entry.at is session)
            self._tell_refused()
        self._report()

    def lost(self, session: Session, key: Key, denied: Denied) -> None:
        """A session does not hold an instrument any more."""
        self._sourcing.lost(session, key, denied)
        self._forget_if_unheld(key)

    def arrived(self, session: Session, key: Key) -> None:
        """The tick that was waited for has come from a session."""
        self._sourcing.arrived(session, key)

    def exchanges(self) -> set[str]:
        """The exchanges of which something is held."""
        return {exchange for _, exchange in self._sourcing.entries}

    def held(self) -> int:
        """How many instruments somebody holds, or held until a moment ago."""
        return len(self._sourcing.entries)

    @property
    def status(self) -> Status:
        """How the feed is: as the session that serves."""
        active = self._sourcing.active
        if active is None:
            return Status(None, FeedState.DISCONNECTED, "there is no session")
        state, message = active.status
        if active.account != self.accounts[0]:
            message = f"the reserve feed serves; {message}" if message else "the reserve feed serves"
        return Status(active.broker, state, message)

    def _report(self) -> None:
        status = self.status
        # The steps of a login are not worth a notice; what a connected feed has to say is.
        news = status if status.state is FeedState.CONNECTED else Status(status.broker, status.state)
        if news != self._told:
            self._told = news
            self._listener.feed_changed(self, status)

    def _refused(self, key: Key, denied: Denied) -> None:
        self._listener.feed_refused(self, key, denied)

    def _tell_refused(self) -> None:
        untold, self._untold = self._untold, set()
        for key in untold:
            entry = self._sourcing.entries.get(key)
            if entry is None or entry.at is None or not entry.count:
                continue
            state, message = entry.at.status
            if state in _REFUSED and entry.at.pending(key):
                self._refused(key, Denied("BROKER_CONNECTION_ERROR", message, entry.at.broker))

    # Demand

    def subscribe(self, wants: Sequence[Want]) -> list[Granted | Denied]:
        """Hold each; one answer each, in order."""
        answers: list[Granted | Denied] = []
        batch: dict[Key, Wish] = {}
        for want in wants:
            key = (want.symbol, want.exchange)
            if key in batch:
                answers += self._subscribe(batch)
                batch = {}
            batch[key] = want.wish
        answers += self._subscribe(batch)
        self.touch()
        return answers

    def _subscribe(self, batch: Mapping[Key, Wish]) -> list[Granted | Denied]:
        """Hold different instruments."""
        for key in batch:
            self._sourcing.entries.setdefault(key, Entry())
        denied = self._sourcing.place({key: [wish] for key, wish in batch.items()})
        return [self._answer(key, wish, denied.get(key)) for key, wish in batch.items()]

    def _answer(self, key: Key, wish: Wish, denied: Denied | None) -> Granted | Denied:
        entry = self._sourcing.entries[key]
        session = entry.at
        if denied is not None or session is None:
            self._forget_if_unheld(key)
            return denied or Denied("BROKER_ERROR", "There is no broker session")
        granted = session.adapter.grant(key[1], wish)
        entry.count[granted] += 1
        if session.state in _REFUSED:
            # Pending, and refused: told when the reply is out.
            self._untold.add(key)
            self._timers.set("refused", 0, self._tell_refused)
        scale = decimals(session.instrument(key).tick_size)
        return Granted(self.tag, session.broker, granted, session.pending(key), scale)

    def release(self, holds: Iterable[Hold]) -> None:
        """Give granted wants back."""
        due = self._clock.seconds() + self._settings.linger
        for hold in holds:
            key = (hold.symbol, hold.exchange)
            entry = self._sourcing.entries.get(key)
            if entry is None or not entry.count[hold.wish]:
                self._log.error(
                    "given back but not held: {symbol} on {exchange}", symbol=key[0], exchange=key[1]
                )
                continue
            entry.count[hold.wish] -= 1
            if entry.count[hold.wish]:
                continue
            del entry.count[hold.wish]
            if poorer(richest(entry.count), entry.placed):
                self._lingering.pop(key, None)
                self._lingering[key] = due
            self._forget_if_unheld(key)
        self._linger()
        self.touch()

    def _linger(self) -> None:
        if self._lingering and not self._timers.running("linger"):
            due = next(iter(self._lingering.values()))
            self._timers.set("linger", due - self._clock.seconds(), self._lingered)

    def _lingered(self) -> None:
        now = self._clock.seconds()
        less: dict[Key, Wish] = {}
        unwanted: list[Key] = []
        for key, due in list(self._lingering.items()):
            if due > now:
                break
            del self._lingering[key]
            entry = self._sourcing.entries[key]
            wish = richest(entry.count)
            if wish is None:
                unwanted.append(key)
            elif entry.at is not None and poorer(wish, entry.placed):
                less[key] = wish
        self._sourcing.reduce(less)
        self._sourcing.leave(unwanted)
        for key in unwanted:
            self._forget_if_unheld(key)
        self._linger()
        self.touch()

    def _forget_if_unheld(self, key: Key) -> None:
        entry = self._sourcing.entries.get(key)
        if entry is not None and not entry.count and entry.at is None:
            del self._sourcing.entries[key]
            self._lingering.pop(key, None)

    def touch(self) -> None:
        """Something was asked for: the idle time begins anew, if nothing is held."""
        if self._sourcing.entries:
            self._timers.cancel("idle")
        else:
            self._timers.set("idle", self._settings.idle, lambda: self._listener.feed_idle(self))
