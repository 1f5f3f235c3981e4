"""How feeds are, as plain values: for status pages and metrics. Nothing here is kept or changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from openalgo_ws.bus.demand import FeedState
from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.feeds.logical import LogicalFeed
from openalgo_ws.feeds.pool import Pool
from openalgo_ws.feeds.session import Session
from openalgo_ws.feeds.slot import Slot

__all__ = [
    "AccountReport",
    "ConnectionReport",
    "FeedReport",
    "Ledger",
    "PoolReport",
    "feed_report_of",
    "report_of",
]


class ConnectionReport(msgspec.Struct, frozen=True, kw_only=True):
    """One connection. Ages are seconds, None where there is nothing to be old.

    ``instruments`` it is to carry; of them the broker has been ``asked`` for so many on the present
    socket, the others follow at the broker's pace.
    """

    number: int
    state: str
    message: str
    instruments: int
    asked: int
    load: int
    ticks: int
    tick_age: float | None
    login_age: float | None


class PoolReport(msgspec.Struct, frozen=True, kw_only=True):
    """One of a broker's feeds for one account: its connections, and how full they are.

    ``capacity`` is what the account may carry on it (instruments, for most brokers), ``limit`` how
    many connections it may have.
    """

    feed: str
    load: int
    capacity: int
    limit: int
    connections: list[ConnectionReport]


class AccountReport(msgspec.Struct, frozen=True, kw_only=True):
    """One account's session."""

    account: str
    broker: str
    state: FeedState
    message: str
    pools: list[PoolReport]


class FeedReport(msgspec.Struct, frozen=True, kw_only=True):
    """One logical feed: what serves users under one tag."""

    tag: str
    broker: str | None
    state: FeedState
    message: str
    users: list[str]
    accounts: Sequence[str]
    held: int


@dataclass(frozen=True)
class _Book:
    account: str
    broker: str
    feed: str


class Ledger:
    """What connections have counted, by account, broker and the broker's feed; it only grows."""

    def __init__(self) -> None:
        self._books: dict[_Book, ConnectionCounters] = {}

    def close(self, session: Session) -> None:
        """Keep what a session that has ended counted."""
        for pool in session.pools():
            self.add(session.account, session.broker, pool.feed.name, pool.counted())

    def add(self, account: str, broker: str, feed: str, counted: ConnectionCounters) -> None:
        """Count what connections have counted."""
        self._books.setdefault(_Book(account, broker, feed), ConnectionCounters()).add(counted)

    def with_sessions(self, sessions: Iterable[Session]) -> Ledger:
        """The same with what these sessions have counted until now."""
        ledger = Ledger.of([self])
        for session in sessions:
            ledger.close(session)
        return ledger

    @staticmethod
    def of(ledgers: Iterable[Ledger]) -> Ledger:
        """What several have counted."""
        both = Ledger()
        for ledger in ledgers:
            for book, counters in ledger._books.items():
                both._books.setdefault(book, ConnectionCounters()).add(counters)
        return both

    def entries(self) -> list[tuple[str, str, str, ConnectionCounters]]:
        """Account, broker, feed and the counters."""
        return [(book.account, book.broker, book.feed, counted) for book, counted in self._books.items()]


def feed_report_of(feed: LogicalFeed, users: Iterable[str]) -> FeedReport:
    """A logical feed, which serves these users, as it is now."""
    status = feed.status
    return FeedReport(
        tag=feed.tag,
        broker=status.broker,
        state=status.state,
        message=status.message,
        users=sorted(users),
        accounts=feed.accounts,
        held=feed.held(),
    )


def report_of(session: Session, now: float) -> AccountReport:
    """A session as it is at ``now`` (the reactor's seconds)."""
    state, message = session.status
    return AccountReport(
        account=session.account,
        broker=session.broker,
        state=state,
        message=message,
        pools=[_pool(pool, now) for pool in session.pools()],
    )


def _pool(pool: Pool, now: float) -> PoolReport:
    return PoolReport(
        feed=pool.feed.name,
        load=pool.load,
        capacity=pool.bounds.per_account,
        limit=pool.bounds.connections,
        connections=[_connection(slot, now) for slot in pool.slots],
    )


def _connection(slot: Slot, now: float) -> ConnectionReport:
    counters = slot.connection.counters
    return ConnectionReport(
        number=slot.number,
        state="stale" if slot.stale else slot.state.value,
        message=slot.message,
        instruments=len(slot.held),
        asked=slot.connection.asked,
        load=slot.load,
        ticks=counters.ticks,
        tick_age=_age(counters.last_tick, now),
        login_age=_age(counters.last_login, now),
    )


def _age(at: float | None, now: float) -> float | None:
    return None if at is None else max(0.0, now - at)
