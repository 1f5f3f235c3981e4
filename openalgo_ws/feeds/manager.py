"""The manager: the feeds' side of `openalgo_ws.bus.demand`.

A user is served by a logical feed, which draws on the sessions of the accounts that the plan names.
Both are opened when somebody wants something and closed some time after nobody does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from openalgo_ws.adapter import Environment
from openalgo_ws.bus.demand import DemandListener, Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.bus.records import TickSink
from openalgo_ws.feeds.flows import Flows
from openalgo_ws.feeds.interfaces import (
    Accounts,
    Adapters,
    ConnectionMaker,
    FeedSettings,
    Index,
    Key,
    Symbols,
)
from openalgo_ws.feeds.logical import LogicalFeed
from openalgo_ws.feeds.open_sessions import OpenSessions
from openalgo_ws.feeds.opening import Login, Opener
from openalgo_ws.feeds.plan import FeedPlan, tag_of
from openalgo_ws.feeds.report import AccountReport, FeedReport, Ledger, feed_report_of, report_of
from openalgo_ws.feeds.rollover import Rollover
from openalgo_ws.feeds.session import Session
from openalgo_ws.feeds.timers import Timers

__all__ = ["FeedManager"]

#: Wants that are dealt with in one turn of the reactor: a few milliseconds' work.
_AT_ONCE = 100

_NOTHING_SUBSCRIBED = "nothing is subscribed"


class FeedManager(Service):
    """`openalgo_ws.bus.demand.Demand` by feeds of our own. See the module.

    ``environ``: the variables that adapters read credentials from (BROKER_API_KEY, …).
    ``environment``: wall clock and randomness. Ticks and orders go to ``sink``.
    """

    name = "feeds"
    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        *,
        accounts: Accounts,
        symbols: Symbols,
        adapters: Adapters,
        environ: Mapping[str, str],
        connections: ConnectionMaker,
        sink: TickSink,
        environment: Environment,
        plan: FeedPlan | None = None,
        settings: FeedSettings | None = None,
    ) -> None:
        self._clock = clock
        self._adapters = adapters
        self._environment = environment
        self._plan = plan or FeedPlan()
        self._settings = settings or FeedSettings()
        self._opener = Opener(
            accounts=accounts,
            symbols=symbols,
            adapters=adapters,
            environ=environ,
            connections=connections,
            sink=sink,
            clock=clock,
            environment=environment,
            settings=self._settings,
            listener=self,
            elsewhere=self._elsewhere,
        )
        self._sessions = OpenSessions(self._opener, self._opened)
        self._flows = Flows(self._log)
        self._rollover = Rollover(
            clock,
            environment,
            expiry=self._settings.expiry,
            recheck=self._settings.expiry_recheck,
            look=self._look_for_new_credentials,
        )
        self._timers = Timers(clock)
        self._listeners: list[DemandListener] = []
        self._feeds: dict[str, LogicalFeed] = {}
        #: Tag → everybody who has asked for that feed.
        self._users: dict[str, set[str]] = {}
        #: Users whose order updates are wanted.
        self._watching: set[str] = set()
        #: Accounts of feeds that will be there when the others' sessions are open as well.
        self._expected: Counter[str] = Counter()

    # Service

    def startService(self) -> None:
        """Watch the clock for the tokens' expiry."""
        super().startService()  # type: ignore[no-untyped-call]
        self._rollover.start()

    def stopService(self) -> Deferred[Any]:
        """Unsubscribe and close everything; fires when the last socket is gone."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._rollover.stop()
        self._timers.clear()
        self._flows.clear()
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()
        return self._sessions.stop()

    # Demand

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        """Hold each want; one answer each, in order. Never fails."""
        broke: list[Granted | Denied] = [
            Denied("SERVER_ERROR", "The feed could not be opened") for _ in wants
        ]
        return self._flows.run(self._subscribe(user, wants), broke)

    def release(self, holds: Sequence[Hold]) -> None:
        """Give granted wants back."""
        by_feed: dict[str, list[Hold]] = {}
        for hold in holds:
            by_feed.setdefault(hold.feed, []).append(hold)
        for tag, given in by_feed.items():
            feed = self._feeds.get(tag)
            # After `stopService` there is nothing left to give back to.
            if feed is not None:
                feed.release(given)

    def status(self, user: str) -> Deferred[Status]:
        """The state of the feed that serves this user. Never fails."""
        return self._flows.run(self._status(user), Status(None, FeedState.DISCONNECTED, "not known"))

    def watch_orders(self, user: str, wanted: bool) -> None:
        """Somebody wants this user's order updates, or nobody does any more.

        They come from the user's own account, whoever's feed serves the user's market data.
        """
        if wanted:
            self._watching.add(user)
            self._timers.cancel(f"orders {user}")
            session = self._sessions.get(user)
            if session is None:
                self._flows.run(self._sessions.open(user), None)
            else:
                session.watch_orders(True)
        else:
            self._watching.discard(user)
            self._timers.set(f"orders {user}", self._settings.idle, lambda: self._unwatch(user))

    def feed_of(self, user: str) -> str:
        """The tag under which this user's wants are granted."""
        return tag_of(self._plan.accounts(user))

    def supported_brokers(self) -> list[str]:
        """Names of the brokers there is an adapter for, sorted."""
        return self._adapters.names()

    def held_exchanges(self) -> dict[str, set[str]]:
        """For each feed's tag the exchanges of which something is held."""
        return {tag: feed.exchanges() for tag, feed in self._feeds.items()}

    def feed_states(self) -> dict[str, Status]:
        """For each feed's tag how it is."""
        return {tag: feed.status for tag, feed in self._feeds.items()}

    def feed_reports(self) -> list[FeedReport]:
        """The logical feeds as they are now, for status pages and metrics."""
        return [feed_report_of(feed, self._users.get(tag, ())) for tag, feed in self._feeds.items()]

    def account_reports(self) -> list[AccountReport]:
        """The open sessions and their connections as they are now."""
        now = self._clock.seconds()
        return [report_of(session, now) for session in self._sessions]

    @property
    def ledger(self) -> Ledger:
        """What connections have counted since the start, those that are gone included."""
        return self._sessions.ledger

    def listen(self, listener: DemandListener) -> None:
        """Report changes to this listener from now on."""
        self._listeners.append(listener)

    async def _subscribe(self, user: str, wants: Sequence[Want]) -> list[Granted | Denied]:
        refusals = []
        accounts = self._plan.accounts(user)
        self._expected.update(accounts)
        try:
            for account in accounts:
                opened = await self._sessions.open(account)
                if isinstance(opened, Denied):
                    refusals.append(opened)
            feed = self._feed(user)
        finally:
            self._expected -= Counter(accounts)
        if not feed.sessions():
            return [refusals[0] for _ in wants]
        answers = feed.subscribe(wants[:_AT_ONCE])
        for start in range(_AT_ONCE, len(wants), _AT_ONCE):
            await deferLater(self._clock, 0)
            answers += feed.subscribe(wants[start : start + _AT_ONCE])
        return answers

    async def _status(self, user: str) -> Status:
        accounts = self._plan.accounts(user)
        tag = tag_of(accounts)
        self._users.setdefault(tag, set()).add(user)
        feed = self._feeds.get(tag)
        if feed is not None and feed.sessions():
            return feed.status
        login = await self._opener.login(accounts[0])
        if isinstance(login, Denied):
            return Status(None, FeedState.DISCONNECTED, login.message)
        return Status(login.adapter.name, FeedState.DISCONNECTED, _NOTHING_SUBSCRIBED)

    # Feeds and sessions

    def _feed(self, user: str) -> LogicalFeed:
        """The logical feed that serves a user, with the sessions that are open."""
        accounts = self._plan.accounts(user)
        tag = tag_of(accounts)
        self._users.setdefault(tag, set()).add(user)
        feed = self._feeds.get(tag)
        if feed is None:
            feed = self._feeds[tag] = LogicalFeed(
                tag, accounts, clock=self._clock, settings=self._settings, listener=self
            )
            for session in filter(None, map(self._sessions.get, accounts)):
                feed.attach(session)
        return feed

    def _opened(self, session: Session) -> None:
        session.watch_orders(session.account in self._watching)
        for feed in self._feeds.values():
            if session.account in feed.accounts:
                feed.attach(session)

    def _close_unused(self) -> None:
        """Close the sessions that no feed draws on and whose orders nobody wants."""
        used = {account for feed in self._feeds.values() for account in feed.accounts}
        self._sessions.close_all_but(used | self._watching | self._expected.keys())

    def _unwatch(self, user: str) -> None:
        session = self._sessions.get(user)
        if session is not None:
            session.watch_orders(False)
        self._close_unused()

    # Credentials and masters

    def credentials_changed(self, user: str) -> Deferred[None]:
        """A user's credentials may have changed (CACHE_INVALIDATE): if they really have, move the
        user's session to them. Fires when that has begun; never fails."""
        return self._flows.run(self._look_at(user), None)

    def master_changed(self, broker: str, old: Index | None, new: Index) -> None:
        """A broker has a new instrument master: follow changed tokens, report symbols that are gone."""
        for session in self._sessions:
            if session.broker == broker:
                session.remap(new)
        for feed in list(self._feeds.values()):
            feed.retry()

    async def _look_at(self, account: str) -> None:
        login = await self._opener.login(account, fresh=True)
        session = self._sessions.get(account)
        if session is None:
            wanted = account in self._watching or any(
                account in feed.accounts for feed in self._feeds.values()
            )
            if wanted and isinstance(login, Login):
                await self._sessions.open(account)
        elif isinstance(login, Denied):
            if login.code != "SERVER_ERROR":
                session.renew(None)
        elif login.adapter.name != session.broker:
            if not await self._sessions.replace(session, login):
                # Somebody was faster, and may have come to something else.
                await self._look_at(account)
        else:
            session.renew(login.credentials)
            for feed in list(self._feeds.values()):
                if account in feed.accounts:
                    feed.retry()

    def _elsewhere(self, account: str) -> None:
        self._flows.run(self._look_at(account), None)

    def _look_for_new_credentials(self) -> bool:
        """Look at every account whose credentials are older than the last expiry; whether there
        are any."""
        expired = self._rollover.last()
        stale = [session.account for session in self._sessions if session.credentials_since < expired]
        for account in stale:
            self.credentials_changed(account)
        return bool(stale)

    # What sessions and feeds tell

    def session_changed(self, session: Session) -> None:
        """Part of `SessionListener`."""
        for feed in list(self._feeds.values()):
            if session in feed.sessions():
                feed.session_changed(session)

    def lost(self, session: Session, tag: str, key: Key, denied: Denied) -> None:
        """Part of `SessionListener`."""
        feed = self._feeds.get(tag)
        if feed is not None:
            feed.lost(session, key, denied)

    def arrived(self, session: Session, tag: str, key: Key) -> None:
        """Part of `SessionListener`."""
        feed = self._feeds.get(tag)
        if feed is not None:
            feed.arrived(session, key)

    def feed_changed(self, feed: LogicalFeed, status: Status) -> None:
        """Part of `LogicalFeedListener`."""
        users = frozenset(self._users.get(feed.tag, ()))
        for listener in self._listeners:
            listener.status_changed(users, status)

    def feed_refused(self, feed: LogicalFeed, key: Key, denied: Denied) -> None:
        """Part of `LogicalFeedListener`."""
        for listener in self._listeners:
            listener.refused(feed.tag, *key, denied)

    def feed_idle(self, feed: LogicalFeed) -> None:
        """Part of `LogicalFeedListener`."""
        feed.close()
        self._feeds.pop(feed.tag, None)
        self._close_unused()
