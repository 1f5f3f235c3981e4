"""The whole upper half over real sockets: Zerodha's adapter, simulated brokers, real connections."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from openalgo_ws.adapter import Adapter, AuthRow
from openalgo_ws.bus.demand import Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.bus.records import TickRecord
from openalgo_ws.feeds.connection import ConnectionOptions
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.feeds.interfaces import FeedSettings
from openalgo_ws.feeds.maker import Connections
from openalgo_ws.feeds.manager import FeedManager
from openalgo_ws.feeds.plan import FeedPlan
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.server import SimulatedBroker
from openalgo_ws.simulator.universe import localise, universe
from openalgo_ws.symbols.index import SymbolIndex
from openalgo_ws.tick import Mode, Wish
from tests.feeds.connection.conftest import Open24Hours
from tests.feeds.connection.servers import Gate

DAY = date(2026, 11, 20)


class Bus:
    """What was published, in short."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.ticked: Counter[tuple[str, str]] = Counter()
        self.volumes: dict[tuple[str, str, str], int] = {}
        self.backwards: list[tuple[str, str, str]] = []
        self.last: dict[tuple[str, str], TickRecord] = {}
        self.orders: list[dict[str, object]] = []

    def publish(self, feed: str, record: TickRecord) -> None:
        key = (record.symbol, record.exchange)
        self.ticked[key] += 1
        self.last[key] = record
        volume = json.loads(record.body).get("volume")
        if volume is not None:
            # Volumes only grow: an older tick after a newer one would show here.
            if volume < self.volumes.get((feed, *key), 0):
                self.backwards.append((feed, *key))
            self.volumes[feed, *key] = volume
        self.gate.stir()

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        self.orders.append(update)
        self.gate.stir()


class Listener:
    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.statuses: list[Status] = []
        self.refused_keys: dict[tuple[str, str], Denied] = {}

    def status_changed(self, users: Any, status: Status) -> None:
        self.statuses.append(status)
        self.gate.stir()

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        self.refused_keys[symbol, exchange] = denied
        self.gate.stir()


class Scene:
    """Simulated brokers, each with one account, and a manager that knows them."""

    def __init__(self, reactor: Any, count: int, plan: str, brokers: int, settings: FeedSettings) -> None:
        self.reactor = reactor
        self.gate = Gate(reactor)
        self.bus = Bus(self.gate)
        self.listener = Listener(self.gate)
        kite: Adapter = importlib.import_module("openalgo_adapters.zerodha").adapter
        self.adapters: Mapping[str, Adapter] = {
            name: replace(kite, name=name) for name in ["zerodha", "reserve"][:brokers]
        }
        environment = SimulatedEnvironment(reactor, seed=1)
        listings = localise(universe(count, DAY), kite)
        exchange = Exchange(listings, environment.now, seed=1)
        self.instruments = list(exchange.instruments())
        self.master = SymbolIndex.of(self.instruments)
        self.brokers: dict[str, SimulatedBroker] = {}
        self.rows: dict[str, AuthRow] = {}
        for name, user in zip(self.adapters, ["ann", "bob"], strict=False):
            broker = SimulatedBroker(kite.simulator, exchange, reactor, environment, rate=3000)
            broker.observers.append(lambda ticks: self.gate.stir())
            broker.listen()
            self.brokers[name] = broker
            self.login(user, name)
        self.manager = FeedManager(
            reactor,
            accounts=self,
            symbols=self,
            adapters=self,
            environ={},
            connections=Connections(
                reactor=reactor,
                environment=SystemEnvironment(),
                sessions=Open24Hours(),
                options=lambda name: ConnectionOptions(
                    base_url=self.brokers[name].url, backoff_first=0.05, recheck_interval=600.0
                ),
            ),
            sink=self.bus,
            environment=SystemEnvironment(),
            plan=FeedPlan.parse(plan),
            settings=settings,
        )
        self.manager.listen(self.listener)
        self.manager.startService()

    def login(self, user: str, broker: str) -> None:
        """What the broker accepts now is what the database has."""
        row = self.adapters[broker].row_for(self.brokers[broker].credentials)
        self.rows[user] = AuthRow(name=user, broker=broker, **row)

    def new_token(self, user: str, broker: str) -> None:
        self.brokers[broker].credentials["access_token"] = "tomorrows-access-token"
        self.login(user, broker)

    async def session(self, user: str, fresh: bool = False) -> AuthRow | None:
        return self.rows.get(user)

    async def index(self, broker: str) -> SymbolIndex:
        return self.master

    def names(self) -> list[str]:
        return sorted(self.adapters)

    def load(self, name: str) -> Adapter:
        return self.adapters[name]

    async def hold_all(self, wish: Wish) -> list[Hold]:
        wants = [Want(i.symbol, i.exchange, wish) for i in self.instruments]
        answers = await self.manager.subscribe("ann", wants)
        assert all(isinstance(answer, Granted) for answer in answers)
        return [
            Hold(answer.feed, want.symbol, want.exchange, answer.wish)
            for want, answer in zip(wants, answers, strict=True)
            if isinstance(answer, Granted)
        ]

    async def all_tick(self) -> None:
        self.bus.ticked.clear()
        await self.gate.until(lambda: len(self.bus.ticked) == len(self.instruments))

    def carried(self, broker: str = "zerodha") -> list[int]:
        return sorted(served.connection.held() for served in self.brokers[broker].connections)

    async def stop(self) -> None:
        await self.manager.stopService()
        for broker in self.brokers.values():
            if broker.connections:
                await self.gate.until(lambda broker=broker: not broker.connections)
            await broker.stop()


@pytest.fixture
def scene() -> Iterator[Any]:
    from twisted.internet import reactor

    scenes: list[Scene] = []

    def make(count: int = 60, plan: str = "", brokers: int = 1, **settings: Any) -> Scene:
        scenes.append(Scene(reactor, count, plan, brokers, FeedSettings(**settings)))
        return scenes[0]

    yield make
    for one in scenes:
        pytest_twisted.blockon(Deferred.fromCoroutine(one.stop()))


QUOTE, DEPTH = Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)


@pytest_twisted.ensureDeferred
async def test_instruments_are_spread_and_all_of_them_tick(scene: Any) -> None:
    world = scene(60, max_symbols=25)
    holds = await world.hold_all(DEPTH)
    await world.all_tick()
    assert world.carried() == [10, 25, 25]
    # Kite sends a quote first, before it is told the mode.
    await world.gate.until(lambda: {record.mode for record in world.bus.last.values()} == {Mode.DEPTH})
    for (_, exchange), record in world.bus.last.items():
        assert record.levels == (0 if exchange.endswith("_INDEX") else 5)
    [status] = {s.state for s in world.listener.statuses} - {FeedState.CONNECTING}
    assert status is FeedState.CONNECTED
    world.manager.release(holds)


@pytest_twisted.ensureDeferred
async def test_a_new_token_in_the_morning_costs_no_tick(scene: Any) -> None:
    world = scene(60, max_symbols=40, overlap=0.3)
    await world.hold_all(QUOTE)
    await world.all_tick()
    before = world.brokers["zerodha"].connections
    world.new_token("ann", "zerodha")
    await world.manager.credentials_changed("ann")
    await world.gate.until(lambda: not set(before) & set(world.brokers["zerodha"].connections))
    await world.all_tick()
    assert world.carried() == [20, 40]
    assert world.bus.backwards == []
    # Nobody saw a gap.
    assert {status.state for status in world.listener.statuses[1:]} == {FeedState.CONNECTED}


@pytest_twisted.ensureDeferred
async def test_with_every_place_taken_the_gap_is_announced(scene: Any) -> None:
    world = scene(60, max_symbols=60, max_connections=1)
    await world.hold_all(QUOTE)
    await world.all_tick()
    world.new_token("ann", "zerodha")
    await world.manager.credentials_changed("ann")
    await world.gate.until(lambda: "gap" in world.listener.statuses[-1].message)
    await world.all_tick()
    assert world.carried() == [60]
    assert world.bus.backwards == []


@pytest_twisted.ensureDeferred
async def test_a_refused_token_is_told_and_a_new_one_brings_everything_back(scene: Any) -> None:
    world = scene(20)
    world.brokers["zerodha"].credentials["access_token"] = "tomorrows-access-token"
    await world.hold_all(QUOTE)
    await world.gate.until(lambda: len(world.listener.refused_keys) == 20)
    assert {denied.code for denied in world.listener.refused_keys.values()} == {"BROKER_CONNECTION_ERROR"}
    assert (await world.manager.status("ann")).state is FeedState.AUTH_FAILED
    world.login("ann", "zerodha")
    await world.manager.credentials_changed("ann")
    await world.all_tick()


@pytest_twisted.ensureDeferred
async def test_the_second_broker_takes_over_and_the_first_takes_back(scene: Any) -> None:
    world = scene(
        60,
        plan="ann=ann,bob",
        brokers=2,
        failover=0.3,
        take_back=0.3,
        overlap=0.5,
        max_symbols=40,
        linger=0.1,
    )
    holds = await world.hold_all(QUOTE)
    await world.all_tick()
    assert world.carried("zerodha") == [20, 40]
    await world.gate.until(lambda: world.carried("reserve") == [0])
    first = world.brokers["zerodha"]
    port = first.port
    await first.stop()
    await world.gate.until(lambda: sum(world.carried("reserve")) == 60)
    await world.all_tick()
    assert world.bus.backwards == []
    first.listen(port)
    await world.gate.until(lambda: sum(world.carried("reserve")) == 0)
    await world.all_tick()
    assert sum(world.carried("zerodha")) == 60
    assert world.bus.backwards == []
    world.manager.release(holds)
    await world.gate.until(lambda: sum(world.carried("zerodha")) == 0)


@pytest_twisted.ensureDeferred
async def test_an_order_is_told_once_however_many_connections_there_are(scene: Any, t: Any) -> None:
    world = scene(60, max_symbols=25)
    await world.hold_all(QUOTE)
    await world.all_tick()
    one = world.instruments[-1]
    broker = world.brokers["zerodha"]
    for number in ("1", "2"):
        order = t.order(orderid=number, symbol=one.symbol, exchange=one.exchange, order_status="complete")
        broker.order(order, one.token)
    await world.gate.until(lambda: len(world.bus.orders) == 2)
    # What came by the other connections has come too by the time of the next ticks.
    await world.all_tick()
    assert [update["orderid"] for update in world.bus.orders] == ["1", "2"]
    assert {(update["symbol"], update["user_id"]) for update in world.bus.orders} == {(one.symbol, "ann")}
