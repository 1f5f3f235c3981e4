"""An adapter: everything that differs from broker to broker, declared."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from openalgo_ws.adapter.codec import CodecFactory, Environment
from openalgo_ws.adapter.events import Verdict
from openalgo_ws.adapter.master import BadRow, MasterRow
from openalgo_ws.adapter.wire import HttpRequest, HttpResponse
from openalgo_ws.tick import Instrument, Mode, Wish

if TYPE_CHECKING:
    from openalgo_ws.adapter.simulate import SimulatorSide

__all__ = [
    "Adapter",
    "AuthRow",
    "Authorise",
    "AuthoriseFailed",
    "Feed",
    "Keepalive",
    "Limits",
    "Login",
    "Scope",
]


class Login(Enum):
    """When a connection may be used."""

    #: Subscribe as soon as the socket is open: the broker never acknowledges a login.
    OPEN = "open"
    #: Wait for the codec's `LoggedIn`.
    ACKNOWLEDGED = "acknowledged"


class Scope(Enum):
    """How often a feed's `authorise` step runs."""

    #: Before every dial (single-use URLs, one-time socket tokens).
    DIAL = "dial"
    #: Once for all connections of the account and again only after the broker refused the
    #: result, never twice at a time: on some brokers a second login kills the first.
    SESSION = "session"


class AuthoriseFailed(Exception):
    """Raised by an authorise step: the broker said no, and `verdict` says what that means."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message)
        self.verdict = verdict


#: An authorise step, without I/O: a generator that yields requests, is sent their answers
#: (None = no answer came), and returns the credentials that the codec is made with.
Authorise = Callable[
    [Mapping[str, str], Environment],
    Generator[HttpRequest, HttpResponse | None, Mapping[str, str]],
]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the broker allows. Where a sheet gives no number, the default is a careful one."""

    #: Cost units one connection may carry (instruments, unless `Adapter.cost` says otherwise).
    per_connection: int = 1000
    #: Connections per account on this feed.
    connections: int = 3
    #: Cost units per account over all connections of this feed; None = product of the two.
    per_account: int | None = None
    #: Instruments given to one `FeedCodec.change`; the codec may cut further.
    per_change: int = 500
    #: Least seconds between two subscribe calls on one connection.
    change_interval: float = 0.0
    #: Whether a second socket may be opened with the same login while the first lives. False
    #: makes every move of a feed break-before-make.
    second_socket: bool = True


@dataclass(frozen=True, kw_only=True)
class Keepalive:
    """How a quiet connection is told from a dead one (all seconds, None = not used)."""

    #: WebSocket pings that we send; the pong must come within `pong_timeout`.
    ping_interval: float | None = 20.0
    pong_timeout: float = 10.0
    #: How often `FeedCodec.heartbeat` is sent.
    heartbeat_interval: float | None = None
    #: Dead when no byte at all (data, heartbeat, ping, pong) came for so long.
    dead_after: float | None = None
    #: Stale when subscribed instruments are in session and no tick came for so long.
    stall_after: float = 90.0


@dataclass(frozen=True, kw_only=True)
class Feed:
    """One of a broker's sockets, with a codec of its own."""

    name: str
    codec: CodecFactory
    limits: Limits = field(default_factory=Limits)
    keepalive: Keepalive = field(default_factory=Keepalive)
    login: Login = Login.OPEN
    #: Seconds from dialling to a usable connection (upgrade and login together).
    login_timeout: float = 15.0
    authorise: Authorise | None = None
    scope: Scope = Scope.DIAL
    #: Whether ticks come here (False: a socket for order updates alone).
    market: bool = True
    #: Whether order updates come here.
    orders: bool = False


@dataclass(frozen=True, kw_only=True)
class AuthRow:
    """A row of the platform's ``auth`` table, decrypted. No readable repr: it is all secrets."""

    name: str
    auth: str = ""
    feed_token: str = ""
    broker: str = ""
    user_id: str = ""
    secret_api_key: str = ""
    aux: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"<AuthRow {self.name!r} {self.broker!r}>"


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A broker. Instances are values: declarations and pure functions, no state."""

    name: str
    title: str
    #: Fields a session needs, in the words of the broker's sheet.
    credential_fields: tuple[str, ...]
    #: May be there and are used if so.
    optional_fields: tuple[str, ...] = ()
    feeds: tuple[Feed, ...]
    #: OpenAlgo exchanges this broker streams, with the broker's own segment names.
    exchanges: Mapping[str, str]
    #: Book levels per exchange, ascending; the key ``""`` is the default. () = no book at all.
    depth_levels: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: {"": (5,)})

    #: Which feed serves a wish, and with what: usually one, sometimes two
    #: (a deep book on one socket and its prices on another). None: the first market feed.
    route: Callable[[Instrument, Wish], tuple[tuple[str, Wish], ...]] | None = None
    #: What an instrument costs of a feed's limits. None: 1 each.
    cost: Callable[[Instrument, Wish], int] | None = None

    #: Credentials from the platform's database row and environment; fields that cannot be found
    #: are left out. An old key without its separator is taken whole.
    from_row: Callable[[AuthRow, Mapping[str, str]], dict[str, str]]
    #: The inverse: credentials → columns of `AuthRow` (``auth``, ``feed_token``, ``user_id``,
    #: ``secret_api_key``), so that a login made here can be read by the platform too. None, or a
    #: function that returns None because the platform's columns can't hold these: all fields as one
    #: JSON object in ``auth``, see `row_for`.
    to_row: Callable[[Mapping[str, str]], dict[str, str] | None] | None = None
    #: An instrument from a row of the platform's ``symtoken``. None: as it stands.
    from_symtoken: Callable[[MasterRow], Instrument] | None = None

    #: The files of the instrument master: name → how to fetch it.
    master_files: Callable[[Mapping[str, str]], Mapping[str, HttpRequest]]
    #: Where one of them is a list of others: by file name and content, the files to fetch in its
    #: stead; {} = it is no list. None: none is.
    linked_files: Callable[[str, bytes], Mapping[str, HttpRequest]] | None = None
    #: Where files come in pages: by name and content of one, the one to fetch after it; {} = it was
    #: the last. None: no file does.
    next_page: Callable[[str, bytes], Mapping[str, HttpRequest]] | None = None
    #: Parse one of them (decompressed): by file name, row by row.
    parse_master: Callable[[str, bytes], Iterable[MasterRow | BadRow]]
    #: Instruments that the broker streams and that are in none of its files.
    fixed_rows: tuple[MasterRow, ...] = ()

    #: The same protocol seen from the broker.
    simulator: type[SimulatorSide] | None = None
    #: The name of the adapter this one is another face of (dhan_sandbox), if any.
    alias_of: str | None = None

    def feed(self, name: str) -> Feed:
        """The feed of that name; KeyError if there is none."""
        for feed in self.feeds:
            if feed.name == name:
                return feed
        raise KeyError(name)

    def routes(self, instrument: Instrument, wish: Wish) -> tuple[tuple[str, Wish], ...]:
        """Which feeds serve this wish, and what each is asked for."""
        if self.route is not None:
            return self.route(instrument, wish)
        return ((next(feed.name for feed in self.feeds if feed.market), wish),)

    def levels(self, exchange: str) -> tuple[int, ...]:
        """Book levels offered on an exchange, ascending."""
        return self.depth_levels.get(exchange, self.depth_levels.get("", ()))

    def grant(self, exchange: str, wish: Wish) -> Wish:
        """The wish that can be met: the deepest book the broker offers that is no deeper than asked.

        Fewer levels than the shallowest book are granted as asked (and trimmed for the client).
        """
        if wish.mode is not Mode.DEPTH:
            return wish
        levels = self.levels(exchange)
        fitting = [level for level in levels if level <= wish.depth]
        if fitting:
            return Wish(Mode.DEPTH, fitting[-1])
        return wish

    def source_depth(self, exchange: str, wish: Wish) -> Wish:
        """The wish as the broker must be asked for it (at least its shallowest book)."""
        levels = self.levels(exchange)
        if wish.mode is not Mode.DEPTH or not levels:
            return wish
        return Wish(Mode.DEPTH, max(wish.depth, levels[0]))

    def instrument(self, row: MasterRow) -> Instrument:
        """A master row as the feeds need it."""
        if self.from_symtoken is not None:
            return self.from_symtoken(row)
        return Instrument(
            row.symbol,
            row.exchange,
            row.token,
            row.brsymbol,
            row.brexchange,
            row.tick_size,
            row.lotsize,
        )

    def credentials_from(self, row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
        """The credentials a row and the environment hold; fields that can't be found are left out.

        A row that `row_for` wrote as a JSON object is read as such, and the environment fills in
        what it does not hold; any other row is the platform's own and goes to `from_row`.
        """
        stored = _json_fields(row.auth)
        if stored is None:
            return self.from_row(row, env)
        return {**self.from_row(replace(row, auth="", feed_token=""), env), **stored}

    def row_for(self, credentials: Mapping[str, str]) -> dict[str, str]:
        """What to store for these credentials: columns of `AuthRow` → plain text, to be encrypted."""
        columns = self.to_row(credentials) if self.to_row is not None else None
        if columns is not None:
            return columns
        return {"auth": msgspec.json.encode(dict(credentials)).decode()}

    def missing(self, credentials: Mapping[str, str]) -> list[str]:
        """Names of the required fields that are absent or empty."""
        return [name for name in self.credential_fields if not credentials.get(name)]


def _json_fields(auth: str) -> dict[str, str] | None:
    """The fields of an ``auth`` column in the form of `Adapter.row_for`, None for any other form.

    No broker's token begins with a brace, so the two forms can't be taken for each other.
    """
    if not auth.startswith("{"):
        return None
    try:
        return msgspec.json.decode(auth, type=dict[str, str])
    except (msgspec.DecodeError, RecursionError):
        return None
