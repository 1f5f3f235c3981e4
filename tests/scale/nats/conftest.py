"""Feeds and gateways in processes of their own, which meet on a NATS server, before a simulated broker."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time
from typing import Any, TypeVar

import pytest
import pytest_twisted
from sqlalchemy import Connection
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import add_user, login, replace_key
from openalgo_ws.adapter import Order
from openalgo_ws.registry import Registry
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.server import SimulatedBroker
from openalgo_ws.simulator.universe import localise, universe
from openalgo_ws.symbols.store import replace
from tests.scale.nats.holder import Holder
from tests.support.nats_server import NATS_SERVER, NatsServer
from tests.support.postgres import POSTGRES, PostgresServer
from tests.support.process import ServerProcess
from tests.support.vault import cheap_vault

if NATS_SERVER is None:
    collect_ignore_glob = ["test_*.py"]

#: Bounds every wait here (seconds): a lease that has to run out, and starts of processes on a busy machine.
PATIENCE = 60.0

INSTRUMENTS = 40

T = TypeVar("T")


class Cluster:
    """Several processes, as if each were a machine's. ``database`` is a URL."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.nats = NatsServer(folder / "nats")
        self.processes: list[ServerProcess] = []
        self.holders: list[Holder] = []
        adapter = self._adapter = Registry().load("zerodha")
        assert adapter.simulator is not None
        environment = SimulatedEnvironment(reactor, start=time() - reactor.seconds())
        listings = localise(universe(INSTRUMENTS, environment.today()), adapter)
        self.exchange = Exchange(listings, environment.now)
        self.broker = SimulatedBroker(adapter.simulator, self.exchange, reactor, environment, rate=500.0)
        self.broker.listen()
        self.instruments = list(self.exchange.instruments())
        self._database = database
        self._do(lambda connection: replace(connection, "zerodha", [listing.row for listing in listings]))
        self.keys: dict[str, str] = {}
        for name in ("alice", "bob"):
            self.add(name)

    def add(self, name: str) -> None:
        """Add a user who is logged in at the broker."""
        vault = cheap_vault()
        columns = self._adapter.row_for(self.broker.credentials)
        self.keys[name] = self._do(lambda connection: add_user(connection, vault, name, "zerodha"))
        self._do(lambda connection: login(connection, vault, name, "zerodha", columns))

    def renew(self, name: str) -> None:
        """Give a user another key: the old one is void."""
        self.keys[name] = self._do(lambda connection: replace_key(connection, cheap_vault(), name))

    def _do(self, change: Callable[[Connection], T]) -> T:
        database = Database(self._database)
        database.prepare()
        try:
            return database.call(change)
        finally:
            database.stop()

    def start(self, role: str, *options: str, **environ: str) -> ServerProcess:
        """A process, which may not be up yet."""
        more = {
            "WS_BUS": self.nats.url,
            "WS_ROLE": role,
            "DATABASE_URL": self._database,
            "ZERODHA_FEED_URL": self.broker.url,
            "WS_UNSUBSCRIBE_LINGER_SECONDS": "1",
            **environ,
        }
        process = ServerProcess(self.folder, *options, **more)
        process.command = [str(Path(sys.executable).parent / "twistd"), "--reactor=asyncio"]
        process.spawn()
        self.processes.append(process)
        return process

    def holder(self, user: str, *gateways: ServerProcess) -> Holder:
        """A client of the first of these gateways that is there, which holds everything."""
        symbols = [f"{one.exchange}:{one.symbol}" for one in self.instruments]
        holder = Holder([gateway.url for gateway in gateways], self.keys[user], symbols)
        self.holders.append(holder)
        holder.start()
        return holder

    def prices(self) -> dict[str, float | None]:
        """What the exchange says now."""
        return {f"{one.exchange}:{one.symbol}": self.exchange.last(one).ltp for one in self.instruments}

    async def settled(self, *holders: Holder) -> None:
        """Stop the market, and wait until everybody has the last value of everything; then it goes on."""
        rate, self.broker.rate = self.broker.rate, 0.0
        prices = self.prices()
        await until(lambda: all(holder.last == prices for holder in holders))
        self.broker.rate = rate

    def order(self, number: str) -> str:
        """The broker tells all its accounts of an order; its number."""
        one = self.instruments[0]
        order = Order(
            orderid=number,
            symbol=one.symbol,
            exchange=one.exchange,
            action="BUY",
            quantity=1,
            price=100.0,
            trigger_price=0.0,
            pricetype="LIMIT",
            product="MIS",
            order_status="complete",
            filled_quantity=1,
            pending_quantity=0,
            average_price=100.0,
        )
        self.broker.order(order, one.token)
        return number

    async def later(self, seconds: float) -> None:
        """Let the market go on for a while."""
        await deferLater(reactor, seconds)

    async def stopped(self, process: ServerProcess) -> int:
        """End a process in order, while the broker goes on; its exit code."""
        return await deferToThread(process.stop)

    def end(self) -> None:
        for holder in self.holders:
            holder.leave()
        for process in self.processes:
            process.kill()
        pytest_twisted.blockon(Deferred.fromCoroutine(self.broker.stop()))
        self.nats.kill()


async def until(condition: Callable[[], Any]) -> None:
    """Let the reactor go round until it is so."""
    end = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < end, "it did not come to that"
        await deferLater(reactor, 0.02)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer | None]:
    """A PostgreSQL server, if there is one to be had."""
    server = None if POSTGRES is None else PostgresServer()
    yield server
    if server is not None:
        server.stop()


@pytest.fixture
def cluster(tmp_path: Path, postgres: PostgresServer | None) -> Iterator[Cluster]:
    """A NATS server, a broker, a database; no process yet. Shows what processes said if a test fails."""
    made = Cluster(tmp_path, f"sqlite:///{tmp_path}/server.db" if postgres is None else postgres.database())
    yield made
    made.end()
    for process in made.processes:
        sys.stdout.write(f"{process.environ['WS_ROLE']}:\n{process.output()}\n")
