"""A real gateway on port 0, with an authenticator that knows three keys and feeds made by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed

from openalgo_ws.bus.demand import (
    DemandListener,
    Denied,
    FeedState,
    Granted,
    Hold,
    Status,
    Want,
)
from openalgo_ws.bus.records import pack, topic_for
from openalgo_ws.gateway.context import Authenticated, GatewaySettings, Unavailable
from openalgo_ws.gateway.limits import Limits
from openalgo_ws.gateway.listen import endpoint
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.tick import Mode, Wish
from tests.gateway.client import Client, connect
from tests.gateway.support import record

KEYS = {"alice-key": "alice", "bob-key": "bob"}


class FakeAccounts:
    """Knows who has which key; can be told to be away, or to think for a while."""

    def __init__(self) -> None:
        self.away = False
        self.thinking: list[Deferred[None]] | None = None

    async def authenticate(self, api_key: str) -> Authenticated | None:
        if self.thinking is not None:
            thought: Deferred[None] = Deferred()
            self.thinking.append(thought)
            await thought
        if self.away:
            raise Unavailable("SERVER_ERROR", "Keys can't be checked at the moment")
        user = KEYS.get(api_key)
        return None if user is None else Authenticated(user, "zerodha")


class FakeDemand:
    """Grants what it knows; remembers what is held."""

    def __init__(self) -> None:
        self.held: list[Hold] = []
        self.orders: set[str] = set()
        self.listener: DemandListener | None = None
        self.waiting: list[Deferred[None]] | None = None
        #: Whether it is known beforehand under which tag things are granted.
        self.remote = False

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        return Deferred.fromCoroutine(self._subscribe(user, wants))

    async def _subscribe(self, user: str, wants: Sequence[Want]) -> list[Granted | Denied]:
        if self.waiting is not None:
            wait: Deferred[None] = Deferred()
            self.waiting.append(wait)
            await wait
        return [self._answer(user, want) for want in wants]

    def _answer(self, user: str, want: Want) -> Granted | Denied:
        if want.symbol == "NOSUCH":
            return Denied("SYMBOL_NOT_FOUND", "No such symbol", "zerodha")
        wish = want.wish
        if wish.mode is Mode.DEPTH:
            wish = Wish(Mode.DEPTH, 20 if wish.depth >= 20 else min(wish.depth, 5))
        feed = f"zerodha.{user}"
        self.held.append(Hold(feed, want.symbol, want.exchange, wish))
        return Granted(feed, "zerodha", wish, pending=want.symbol == "PENDING")

    def release(self, holds: Sequence[Hold]) -> None:
        for hold in holds:
            self.held.remove(hold)

    def status(self, user: str) -> Deferred[Status]:
        return succeed(Status("zerodha", FeedState.CONNECTED))

    def watch_orders(self, user: str, wanted: bool) -> None:
        (self.orders.add if wanted else self.orders.remove)(user)

    def feed_of(self, user: str) -> str | None:
        return f"zerodha.{user}" if self.remote else None

    def supported_brokers(self) -> list[str]:
        return ["angel", "zerodha"]

    def listen(self, listener: DemandListener) -> None:
        self.listener = listener


class Server:
    """The gateway under test, and the ways into it."""

    def __init__(self, **changes: Any) -> None:
        self.accounts = FakeAccounts()
        self.demand = FakeDemand()
        self.invalidated: list[str] = []
        limits = {name: changes.pop(name) for name in Limits.__struct_fields__ if name in changes}
        description = changes.pop("endpoint", "tcp:0:interface=127.0.0.1")
        origins = changes.pop("origins", ("*",))
        more = {name: changes.pop(name) for name in ("last_values",) if name in changes}
        self.gateway = Gateway(
            reactor=reactor,
            endpoints=[endpoint(reactor, description)],
            demand=self.demand,
            authenticator=self.accounts,
            settings=GatewaySettings(**{"throttle_ms": 0.0, "version": "test", **changes}),
            limits=Limits(**limits),
            describe=lambda broker: {"depth_levels": {"NSE": [5, 20]}},
            invalidate=self.invalidated.append,
            origins=origins,
            **more,
        )
        self.gateway.startService()
        self.port: int = self.gateway.addresses()[0].port

    def publish(self, ltp: float, symbol: str = "SBIN", mode: Mode = Mode.LTP, user: str = "alice") -> None:
        self.gateway.receive([(topic_for(f"zerodha.{user}"), pack([record(ltp, symbol, mode)]))])


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start a gateway; stopped at the end."""
    servers: list[Server] = []

    def start(**changes: Any) -> Server:
        servers.append(Server(**changes))
        return servers[-1]

    yield start
    for server in servers:
        if server.gateway.running:
            pytest_twisted.blockon(server.gateway.stopService())


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


Connect = Callable[..., Awaitable[Client]]


@pytest.fixture
def dial() -> Iterator[Connect]:
    """Connect clients; closed at the end."""
    clients: list[Client] = []

    async def start(server: Server, key: str | None = None, **more: Any) -> Client:
        client = await connect(server.port, **more)
        clients.append(client)
        if key is not None:
            answer = await client.ask(action="authenticate", api_key=key)
            assert answer["status"] in ("success", "authenticated"), answer
        return client

    yield start
    for client in clients:
        pytest_twisted.blockon(client.end())
