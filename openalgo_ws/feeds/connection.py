"""One connection to a broker: dials, logs in, keeps alive, notices silence, dials again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.ssl import Certificate

from openalgo_ws.adapter import Adapter, Change, Environment, Feed, OrderUpdate, Rejected
from openalgo_ws.feeds.authoriser import Authoriser
from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.feeds.http import HttpCaller
from openalgo_ws.feeds.life import ConnectionState
from openalgo_ws.feeds.link import Dialler, FeedReactor
from openalgo_ws.tick import Instrument, Tick, Wish

__all__ = [
    "Calendar",
    "Connection",
    "ConnectionListener",
    "ConnectionOptions",
    "ConnectionState",
    "ReadCredentials",
]

#: Reads an account's credentials from the store, bypassing every cache; None = there are none.
#: Called before every dial, and every 30 s while the broker refuses those that are there.
ReadCredentials = Callable[[], Awaitable[Mapping[str, str] | None]]


class Calendar(Protocol):
    """When exchanges are open (see `openalgo_ws.feeds.sessions`)."""

    def open_since(self, exchange: str, now: float) -> float | None:
        """When the session that runs at ``now`` began (both epoch seconds); None = not in session."""


class ConnectionListener(Protocol):
    """Who hears of a connection. Calls come on the reactor thread and must not raise."""

    def state_changed(self, connection: Connection, state: ConnectionState, message: str) -> None:
        """The connection is in another state; ``message`` is for people and holds no secret."""

    def ticked(self, connection: Connection, ticks: Sequence[Tick]) -> None:
        """All ticks of one received frame, in order."""

    def ordered(self, connection: Connection, update: OrderUpdate) -> None:
        """An order update came."""

    def rejected(self, connection: Connection, rejected: Rejected) -> None:
        """The broker refused something. The instruments stay in `Connection.wanted` (and would be
        asked for again after a reconnect) until the listener takes them out with `want`."""


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions:
    """What the operator may set about connections to a broker (times in seconds)."""

    #: ``<BROKER>_FEED_URL``: scheme, host and port that replace the broker's own.
    base_url: str | None = None
    #: False switches certificate verification off; said loudly at every dial.
    verify_tls: bool = True
    #: Who may sign the broker's certificate; () = the platform's roots.
    trust_roots: tuple[Certificate, ...] = ()
    #: The first and the longest pause between two attempts (full jitter below these).
    backoff_first: float = 1.0
    backoff_most: float = 60.0
    #: A login that lasted so long makes the next pause the first again.
    settled_after: float = 30.0
    #: Sockets dialled within any minute, at most (those that brought no ticks).
    attempts_per_minute: int = 8
    #: Pause after "too many connections", where the broker names none.
    too_many_wait: float = 60.0
    #: How often refused credentials are read again.
    recheck_interval: float = 30.0
    #: The largest message taken from a broker, in bytes.
    max_message: int = 8 * 1024 * 1024


class Connection:
    """One socket of a feed and everything that keeps it up. Single use: `start`, then `stop`.

    ``user`` names the account in logs. ``authoriser`` is shared by all connections of an account.
    """

    adapter: Adapter
    feed: Feed
    user: str
    counters: ConnectionCounters
    #: What the last change of state said.
    message: str

    def __init__(
        self,
        *,
        reactor: FeedReactor,
        adapter: Adapter,
        feed: Feed,
        user: str,
        credentials: ReadCredentials,
        authoriser: Authoriser,
        environment: Environment,
        listener: ConnectionListener,
        sessions: Calendar,
        options: ConnectionOptions,
        dialler: Dialler | None = None,
        http: HttpCaller | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def state(self) -> ConnectionState:
        """Where the connection is in its life."""
        raise NotImplementedError

    @property
    def wanted(self) -> Mapping[Instrument, Wish]:
        """The target: everything that shall be held on this connection (read only, live)."""
        raise NotImplementedError

    @property
    def credentials(self) -> Mapping[str, str] | None:
        """The credentials that the present (or last) dial was made with, before authorisation."""
        raise NotImplementedError

    @property
    def proven(self) -> bool:
        """LIVE, and a tick has come since the login or none is due (nothing wanted is in session)."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin to dial. Once only."""
        raise NotImplementedError

    def stop(self) -> Deferred[None]:
        """Unsubscribe, close the socket, end every timer; fires when the socket is gone (at most
        a second or two later). May be called again, and before `start`."""
        raise NotImplementedError

    def want(self, changes: Sequence[Change]) -> None:
        """Change the target; only ``instrument`` and ``new`` of each change count.

        Sent when LIVE, in batches of the feed's ``per_change`` and ``change_interval`` apart; what
        changed back before it was sent is not sent. After each login everything wanted is sent.
        """
        raise NotImplementedError

    def credentials_changed(self) -> None:
        """The account's credentials may have changed: read them.

        Where they differ from those last used: dial at once (out of BACKING_OFF, AUTH_FAILED,
        FAILED) or drop the socket and dial anew (LIVE and on the way there). Where they are the
        same, nothing is disturbed; out of AUTH_FAILED they are tried once more, at most every 30 s.
        """
        raise NotImplementedError

    def reconnect(self, message: str) -> None:
        """Drop the socket now and dial again after the shortest pause (a move, an operator's wish)."""
        raise NotImplementedError
