"""Connections, accounts, masters and a bus that a test plays by hand, and a world made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from openalgo_ws.adapter import (
    Adapter,
    AuthRow,
    Change,
    Feed,
    Limits,
    Order,
    OrderUpdate,
    Rejected,
)
from openalgo_ws.bus.demand import Denied, Granted, Hold, Status, Want
from openalgo_ws.bus.records import TickRecord
from openalgo_ws.feeds.connection import ConnectionState
from openalgo_ws.feeds.counters import ConnectionCounters
from openalgo_ws.feeds.interfaces import FeedSettings
from openalgo_ws.feeds.manager import FeedManager
from openalgo_ws.feeds.plan import FeedPlan
from openalgo_ws.registry import AdapterNotFound
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

#: 2026-03-02 10:00 IST, a Monday.
START = 1_772_425_800.0

UP_AND_COMING = (ConnectionState.AUTHORISING, ConnectionState.DIALLING, ConnectionState.LOGGING_IN)


class FakeConnection:
    """A connection whose states and ticks come from the test."""

    def __init__(self, world: World, adapter: Adapter, user: str, feed: Feed, listener: Any) -> None:
        self.world = world
        self.adapter = adapter
        self.user = user
        self.feed = feed
        self.listener = listener
        self.counters = ConnectionCounters()
        self.state = ConnectionState.IDLE
        self.message = ""
        self.wanted: dict[Instrument, Wish] = {}
        self.log: list[tuple[str, Wish | None]] = []
        self.most_at_once = 0
        self.credentials: Mapping[str, str] | None = None
        self.renewals = 0
        self.stopping: Deferred[None] | None = None

    def __repr__(self) -> str:
        return f"<{self.user}/{self.feed.name} {self.state.value} {len(self.wanted)}>"

    @property
    def asked(self) -> int:
        return len(self.wanted) if self.state is ConnectionState.LIVE else 0

    # What the pool calls.

    def start(self) -> None:
        assert self.state is ConnectionState.IDLE, "started twice"
        self.dial()
        open_here = [c for c in self.world.open(self.user) if c.feed.name == self.feed.name]
        assert len(open_here) <= self.feed.limits.connections, "more sockets than the broker allows"
        if self.world.obliging:
            self.world.clock.callLater(0.1, self.live)

    def stop(self) -> Deferred[None]:
        if self.state is not ConnectionState.STOPPED:
            self.wanted.clear()
            self.to(ConnectionState.STOPPED)
            self.stopping = Deferred() if self.world.slow_to_close else succeed(None)
        assert self.stopping is not None
        done: Deferred[None] = Deferred()

        def gone(result: None) -> None:
            done.callback(None)

        self.stopping.addCallback(gone)
        return done

    def want(self, changes: Sequence[Change]) -> None:
        assert self.state is not ConnectionState.STOPPED
        self.most_at_once = max(self.most_at_once, len(changes))
        for instrument, _, new in changes:
            self.log.append((instrument.symbol, new))
            if new is None:
                self.wanted.pop(instrument, None)
            else:
                self.wanted[instrument] = new
        cost = self.adapter.cost or (lambda instrument, wish: 1)
        load = sum(cost(i, w) for i, w in self.wanted.items())
        assert load <= self.feed.limits.per_connection, "more than the connection may carry"

    def credentials_changed(self) -> None:
        self.renewals += 1

    # What the test does.

    def to(self, state: ConnectionState, message: str = "") -> None:
        self.state = state
        self.message = message or state.value
        self.listener.state_changed(self, state, self.message)

    def dial(self) -> None:
        self.credentials = self.world.credentials_of(self.user)
        self.to(ConnectionState.AUTHORISING)

    def live(self) -> None:
        if self.state in UP_AND_COMING or self.state is ConnectionState.BACKING_OFF:
            self.to(ConnectionState.LIVE)

    def drop(self, cause: str = "transient") -> None:
        self.counters.ended[cause] += 1
        self.to(ConnectionState.BACKING_OFF, f"gone: {cause}")

    def tick(self, symbol: str, ltp: float | None = None, **fields: Any) -> None:
        """A tick as the wish for it asks, with what is given."""
        instrument = next((i for i in self.wanted if i.symbol == symbol), None)
        assert instrument is not None, f"{symbol} is not subscribed on {self!r}"
        self.listener.ticked(self, [make_tick(instrument, ltp, self.wanted[instrument].mode, **fields)])

    def reject(self, *symbols: str) -> None:
        instruments = tuple(i for i in self.wanted if i.symbol in symbols)
        self.listener.rejected(self, Rejected("not allowed", instruments))

    def order(self, **fields: Any) -> None:
        self.listener.ordered(self, OrderUpdate(make_order(**fields)))

    def symbols(self) -> set[str]:
        return {instrument.symbol for instrument in self.wanted}


def make_tick(instrument: Instrument, ltp: float | None, kind: Mode, **fields: Any) -> Tick:
    return Tick(instrument, fields.pop("kind", kind), ltp=ltp, **fields)


def make_order(**fields: Any) -> Order:
    values = {
        "orderid": "1",
        "symbol": "SBIN",
        "exchange": "NSE",
        "action": "BUY",
        "quantity": 10,
        "price": 100.0,
        "trigger_price": 0.0,
        "pricetype": "LIMIT",
        "product": "MIS",
        "order_status": "open",
        "filled_quantity": 0,
        "pending_quantity": 10,
        "average_price": 0.0,
    }
    return Order(**(values | fields))


def book(*prices: float, levels: int | None = None) -> Depth:
    """A book whose buy side has these prices and whose sell side lies a bit above."""
    prices = prices or (99.0,)
    if levels is not None:
        prices = tuple(99.0 - n for n in range(levels))
    return Depth([Level(p, 10, 1) for p in prices], [Level(p + 1000, 20, 2) for p in sorted(prices)])


class Sink:
    """The bus."""

    def __init__(self) -> None:
        self.published: list[tuple[str, TickRecord]] = []
        self.orders: list[tuple[str, str, dict[str, object]]] = []

    def publish(self, feed: str, record: TickRecord) -> None:
        self.published.append((feed, record))

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        self.orders.append((broker, user, update))

    def take(self, feed: str | None = None) -> list[tuple[str, Mode, dict[str, Any]]]:
        """(symbol, mode, data) of what was published since the last time."""
        taken, self.published = self.published, []
        return [
            (record.symbol, record.mode, json.loads(record.body))
            for tag, record in taken
            if feed is None or tag == feed
        ]


class Index:
    """An instrument master."""

    def __init__(self, instruments: Collection[Instrument]) -> None:
        self.instruments = list(instruments)

    def lookup(self, symbol: str, exchange: str) -> Instrument | None:
        return next((i for i in self.instruments if (i.symbol, i.exchange) == (symbol, exchange)), None)

    def by_token(self, token: str, where: str) -> Instrument | None:
        return next((i for i in self.instruments if (i.token, i.exchange) == (token, where)), None)

    def by_brsymbol(self, brsymbol: str, exchange: str) -> Instrument | None:
        return next((i for i in self.instruments if (i.brsymbol, i.exchange) == (brsymbol, exchange)), None)


def master(count: int = 50, first_token: int = 1) -> Index:
    instruments = [Instrument(f"S{n}", "NSE", str(first_token + n), tick_size=0.05) for n in range(count)]
    instruments.append(Instrument("USDINR", "CDS", "9001", tick_size=0.0025))
    instruments.append(Instrument("NIFTY", "NSE_INDEX", "9002"))
    return Index(instruments)


def make_adapter(name: str = "toy", **changes: Any) -> Adapter:
    limits = changes.pop("limits", Limits(per_connection=10, connections=3))
    values: dict[str, Any] = {
        "name": name,
        "title": name.capitalize(),
        "credential_fields": ("api_key", "access_token"),
        "feeds": (Feed(name="main", codec=no_codec, limits=limits, orders=True),),
        "exchanges": {"NSE": "NSE", "CDS": "CDS", "NSE_INDEX": "INDICES"},
        "depth_levels": {"": (5, 20), "NSE_INDEX": ()},
        "from_row": lambda row, env: {
            field: value for field, value in (("api_key", row.user_id), ("access_token", row.auth)) if value
        },
        "master_files": lambda env: {},
        "parse_master": lambda name, data: (),
    }
    return Adapter(**(values | changes))


def no_codec(credentials: Any, environment: Any) -> Any:
    raise AssertionError("no codec is needed here")


class Listener:
    """The gateway."""

    def __init__(self) -> None:
        self.statuses: list[tuple[frozenset[str], Status]] = []
        self.refusals: list[tuple[str, str, str, Denied]] = []

    def status_changed(self, users: Collection[str], status: Status) -> None:
        self.statuses.append((frozenset(users), status))

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        self.refusals.append((feed, symbol, exchange, denied))

    def states(self) -> list[str]:
        return [status.state.value for _, status in self.statuses]

    def refused_symbols(self) -> set[str]:
        return {symbol for _, symbol, _, _ in self.refusals}


class World:
    """Everything a `FeedManager` needs."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sink = Sink()
        self.listener = Listener()
        self.connections: list[FakeConnection] = []
        self.rows: dict[str, AuthRow] = {}
        self.adapters: dict[str, Adapter] = {"toy": make_adapter()}
        self.masters: dict[str, Index] = {}
        self.reads: list[tuple[str, bool]] = []
        #: Connections come up by themselves after 0.1 s.
        self.obliging = True
        self.slow_to_close = False
        self.read_credentials: dict[str, Callable[[], Any]] = {}
        self.login("ann", "token-1")

    # Environment

    def now(self) -> float:
        return START + self.clock.seconds()

    def random(self, n: int) -> bytes:
        return bytes(n)

    # Accounts, symbols, adapters

    async def session(self, user: str, fresh: bool = False) -> AuthRow | None:
        self.reads.append((user, fresh))
        return self.rows.get(user)

    async def index(self, broker: str) -> Index:
        return self.masters.setdefault(broker, master())

    def names(self) -> list[str]:
        return sorted(self.adapters)

    def load(self, name: str) -> Adapter:
        if name not in self.adapters:
            raise AdapterNotFound(name)
        return self.adapters[name]

    def login(self, user: str, token: str, broker: str = "toy") -> None:
        self.rows[user] = AuthRow(name=user, auth=token, broker=broker, user_id="key-of-" + user)

    def credentials_of(self, user: str) -> Mapping[str, str] | None:
        row = self.rows.get(user)
        return None if row is None else self.adapters[row.broker].credentials_from(row, {})

    def make(self, adapter: Adapter, user: str, read: Callable[[], Any]) -> Callable[..., FakeConnection]:
        self.read_credentials[user] = read

        def make(feed: Feed, listener: Any) -> FakeConnection:
            connection = FakeConnection(self, adapter, user, feed, listener)
            self.connections.append(connection)
            return connection

        return make

    # What the test asks

    def manager(self, plan: str = "", **settings: Any) -> FeedManager:
        manager = FeedManager(
            self.clock,
            accounts=self,
            symbols=self,
            adapters=self,
            environ={},
            connections=self.make,
            sink=self.sink,
            environment=self,
            plan=FeedPlan.parse(plan),
            settings=replace(FeedSettings(), **settings),
        )
        manager.listen(self.listener)
        manager.startService()
        return manager

    def open(self, user: str = "ann", feed: str | None = None) -> list[FakeConnection]:
        closed = (ConnectionState.IDLE, ConnectionState.STOPPED)
        return [
            c
            for c in self.connections
            if c.user == user and c.state not in closed and feed in (None, c.feed.name)
        ]

    def held(self, user: str = "ann") -> dict[str, Wish]:
        """What is asked of a user's broker; an instrument on two connections fails the test."""
        held: dict[str, Wish] = {}
        for connection in self.open(user):
            for instrument, wish in connection.wanted.items():
                assert instrument.symbol not in held, f"{instrument.symbol} is on two connections"
                held[instrument.symbol] = wish
        return held

    def carrier(self, symbol: str, user: str = "ann") -> FakeConnection:
        return next(c for c in self.open(user) if symbol in c.symbols())

    def advance(self, seconds: float) -> None:
        """Let time pass, from one timer to the next."""
        end = self.clock.seconds() + seconds
        while calls := self.clock.getDelayedCalls():
            due = min(call.getTime() for call in calls)
            if due > end:
                break
            self.clock.advance(max(0.0, due - self.clock.seconds()))
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def turn(self) -> None:
        """One turn of the reactor."""
        self.clock.advance(0)


def want(symbol: str, mode: Mode = Mode.QUOTE, depth: int = 5, exchange: str = "NSE") -> Want:
    return Want(symbol, exchange, Wish(mode, depth))


def wants(count: int, mode: Mode = Mode.QUOTE) -> list[Want]:
    return [want(f"S{n}", mode) for n in range(count)]


def result(deferred: Deferred[Any]) -> Any:
    """What a Deferred has given already."""
    got: list[Any] = []
    deferred.addCallback(got.append)
    assert got, "no answer yet"
    return got[0]


def holds_of(wanted: Sequence[Want], answers: Sequence[Granted | Denied]) -> list[Hold]:
    return [
        Hold(answer.feed, want.symbol, want.exchange, answer.wish)
        for want, answer in zip(wanted, answers, strict=True)
        if isinstance(answer, Granted)
    ]


class Tools:
    """The helpers above, for tests (which can't import this file)."""

    want = staticmethod(want)
    wants = staticmethod(wants)
    result = staticmethod(result)
    holds_of = staticmethod(holds_of)
    book = staticmethod(book)
    tick = staticmethod(make_tick)
    order = staticmethod(make_order)
    adapter = staticmethod(make_adapter)
    master = staticmethod(master)
    no_codec = staticmethod(no_codec)
    World = World
    Sink = Sink
    Index = Index
    START = START


@pytest.fixture(scope="session")
def t() -> type[Tools]:
    return Tools


@pytest.fixture
def world() -> World:
    return World()
