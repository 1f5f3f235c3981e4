"""What the feeds are given: accounts, symbols, adapters, and connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time
from typing import Protocol

from openalgo_ws.adapter import Adapter, AuthRow, Feed
from openalgo_ws.feeds.connection import Connection, ConnectionListener, ReadCredentials
from openalgo_ws.tick import Instrument

__all__ = [
    "Accounts",
    "Adapters",
    "ConnectionMaker",
    "FeedSettings",
    "Index",
    "Key",
    "MakeConnection",
    "Symbols",
]

#: An instrument as clients name it: (symbol, exchange).
Key = tuple[str, str]


class Accounts(Protocol):
    """The platform's broker sessions."""

    async def session(self, user: str, fresh: bool = False) -> AuthRow | None:
        """The user's row, decrypted; None if there is none or it is revoked. ``fresh`` bypasses
        every cache."""


class Index(Protocol):
    """One broker's instrument master."""

    def lookup(self, symbol: str, exchange: str) -> Instrument | None:
        """The instrument of that name."""

    def by_token(self, token: str, where: str, /) -> Instrument | None:
        """The instrument with that stream token on an exchange or broker's segment."""

    def by_brsymbol(self, brsymbol: str, exchange: str, /) -> Instrument | None:
        """The instrument that the broker calls so on an exchange."""


class Symbols(Protocol):
    """The instrument masters."""

    async def index(self, broker: str) -> Index:
        """The broker's master as it is now; an empty one if none was ever loaded."""


class Adapters(Protocol):
    """The installed adapters (`openalgo_ws.registry.Registry`)."""

    def names(self) -> list[str]:
        """All names on offer, sorted."""

    def load(self, name: str) -> Adapter:
        """The adapter; `AdapterNotFound` or `AdapterBroken`."""


#: Makes a connection of one account to one of its broker's feeds; not started.
MakeConnection = Callable[[Feed, ConnectionListener], Connection]

#: Makes the maker for one account: (adapter, user, how to read the credentials). What an account's
#: connections share (its authoriser, TLS contexts) is made once, here.
ConnectionMaker = Callable[[Adapter, str, ReadCredentials], MakeConnection]


@dataclass(frozen=True, kw_only=True)
class FeedSettings:
    """What the operator may set about feeds (times in seconds)."""

    #: ``MAX_SYMBOLS_PER_WEBSOCKET`` and ``MAX_WEBSOCKET_CONNECTIONS``; None = as the adapter says.
    max_symbols: int | None = None
    max_connections: int | None = None
    #: ``ENABLE_CONNECTION_POOLING``; False = one connection per feed.
    pooling: bool = True
    #: ``WS_FEED_SHARDS``: so many processes share what brokers allow an account.
    shards: int = 1
    #: How long an instrument stays subscribed, or as rich as it was, after the last who wanted it so.
    linger: float = 5.0
    #: How long a feed nobody wants anything of stays open.
    idle: float = 60.0
    #: How long a connection without instruments stays open beside others.
    retire: float = 30.0
    #: A connection that was not live for so long gives its instruments to those that have room.
    rescue: float = 10.0
    #: How long two connections serve an instrument at most while it moves from one to the other.
    overlap: float = 3.0
    #: A new connection that is not live after so long does not replace the old one.
    replace_timeout: float = 45.0
    #: A user's next feed takes over when one has been down for so long (at once if it is stale or
    #: the broker refuses its login) ...
    failover: float = 1.0
    #: ... or has not come up for so long after it was opened.
    first_login: float = 10.0
    #: The preferred feed takes back when it has been live for so long.
    take_back: float = 30.0
    #: ``SESSION_EXPIRY_TIME``, IST: when brokers' tokens roll over.
    expiry: time = time(3, 0)
    #: How often credentials are looked at after that, until they have changed.
    expiry_recheck: float = 300.0
