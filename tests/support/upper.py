"""The whole upper half of the feeds, as it runs in the server, before simulated brokers on real sockets.

Time is a `Clockwork`: real sockets, and a clock that the test moves.
"""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest_twisted
from twisted.internet.defer import Deferred

from openalgo_ws.adapter import Adapter, AuthRow
from openalgo_ws.bus.demand import Denied, FeedState, Granted, Hold, Status, Want
from openalgo_ws.bus.records import TickRecord
from openalgo_ws.feeds.connection import ConnectionOptions
from openalgo_ws.feeds.interfaces import FeedSettings
from openalgo_ws.feeds.maker import Connections
from openalgo_ws.feeds.manager import FeedManager
from openalgo_ws.feeds.plan import FeedPlan
from openalgo_ws.feeds.sessions import MarketSessions
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.server import SimulatedBroker
from openalgo_ws.simulator.universe import localise, universe
from openalgo_ws.symbols.index import SymbolIndex
from openalgo_ws.tick import Instrument, Tick, Wish
from tests.support.clockwork import Clockwork

__all__ = ["MONDAY", "Bus", "Listener", "Scene", "kite", "scenes"]

#: 2025-12-22 10:00 in India, a Monday: the exchanges are open.
MONDAY = 1_766_377_800.0

#: Who has an account at which of the scene's brokers.
_USERS = {"zerodha": "ann", "reserve": "bob"}

Name = tuple[str, str]


def kite(**feed: Any) -> Adapter:
    """Zerodha's adapter, with some of its feed's declarations changed."""
    adapter: Adapter = importlib.import_module("openalgo_adapters.zerodha").adapter
    return replace(adapter, feeds=(replace(adapter.feeds[0], **feed),))


class UnluckyEnvironment(SimulatedEnvironment):
    """Every draw is the worst there is, so that every pause is as long as it may be."""

    def random(self, n: int) -> bytes:
        return b"\xff" * n


class Bus:
    """What was published."""

    def __init__(self) -> None:
        self.ticked: Counter[Name] = Counter()
        self.last: dict[Name, TickRecord] = {}
        self.orders: list[dict[str, object]] = []
        #: Symbols of which an older tick came after a newer one (volumes only grow).
        self.backwards: list[Name] = []
        self._volumes: dict[tuple[str, Name], int] = {}

    def publish(self, feed: str, record: TickRecord) -> None:
        name = (record.symbol, record.exchange)
        self.ticked[name] += 1
        self.last[name] = record
        volume = json.loads(record.body).get("volume")
        if volume is not None:
            if volume < self._volumes.get((feed, name), 0):
                self.backwards.append(name)
            self._volumes[feed, name] = volume

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        self.orders.append(update)


class Listener:
    """What the gateway is told."""

    def __init__(self) -> None:
        self.statuses: list[Status] = []
        self.denied: dict[Name, Denied] = {}

    @property
    def state(self) -> FeedState:
        return self.statuses[-1].state

    def status_changed(self, users: Any, status: Status) -> None:
        self.statuses.append(status)

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        self.denied[symbol, exchange] = denied


class Scene:
    """Simulated brokers, each with one account, and a manager that serves ``ann``.

    Both brokers show the same exchange, at ``rate`` ticks a second each, every ``interval`` seconds.
    ``options`` are the operator's for every broker, ``settings`` the feeds'.
    """

    def __init__(
        self,
        clockwork: Clockwork,
        *,
        count: int = 60,
        adapter: Adapter | None = None,
        brokers: int = 1,
        plan: str = "",
        rate: float = 300.0,
        interval: float = 0.05,
        tls: Any = None,
        options: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.clockwork = clockwork
        self.until, self.run, self.seconds = clockwork.until, clockwork.run, clockwork.seconds
        self.bus = Bus()
        self.listener = Listener()
        self.rate = rate
        adapter = adapter or kite()
        assert adapter.simulator is not None
        self.adapters = {name: replace(adapter, name=name) for name in list(_USERS)[:brokers]}
        market_time = SimulatedEnvironment(clockwork, start=MONDAY, seed=1)
        listings = localise(universe(count, market_time.today(), set(adapter.exchanges)), adapter)
        self.exchange = Exchange(listings, market_time.now, seed=1)
        self.instruments = list(self.exchange.instruments())
        self.names = {(one.symbol, one.exchange) for one in self.instruments}
        self.master = SymbolIndex.of(self.instruments)
        #: The feeds' own time of day, which may jump.
        self.environment = UnluckyEnvironment(clockwork, start=MONDAY)
        self.brokers: dict[str, SimulatedBroker] = {}
        self.rows: dict[str, AuthRow] = {}
        for name in self.adapters:
            broker = SimulatedBroker(
                adapter.simulator, self.exchange, clockwork, market_time, rate=rate, interval=interval
            )
            broker.listen(tls=tls)
            self.brokers[name] = broker
            self.login(name)
        self.broker = self.brokers["zerodha"]
        self._options = options or {}
        self._plan = FeedPlan.parse(plan)
        self._settings = FeedSettings(**settings)
        self.start()

    def start(self) -> None:
        """A new manager, as after a restart of the process."""
        self.manager = FeedManager(
            self.clockwork,
            accounts=self,
            symbols=self,
            adapters=_Adapters(self.adapters),
            environ={},
            connections=Connections(
                reactor=self.clockwork,
                environment=self.environment,
                sessions=MarketSessions.load(),
                options=lambda name: ConnectionOptions(base_url=self.brokers[name].url, **self._options),
            ),
            sink=self.bus,
            environment=self.environment,
            plan=self._plan,
            settings=self._settings,
        )
        self.manager.listen(self.listener)
        self.manager.startService()

    async def stop(self) -> None:
        """Stop the manager; nothing is left of it at any broker."""
        stopping = self.manager.stopService()
        await self.until(lambda: stopping.called, 5, "the manager stops")
        await self.until(lambda: not any(b.sockets for b in self.brokers.values()), 5, "sockets are gone")

    async def end(self) -> None:
        """Stop everything; no timer is left."""
        await self.stop()
        for broker in self.brokers.values():
            await broker.stop()
        assert self.clockwork.getDelayedCalls() == []

    # What the manager asks

    async def session(self, user: str, fresh: bool = False) -> AuthRow | None:
        return self.rows.get(user)

    async def index(self, broker: str) -> SymbolIndex:
        return self.master

    # What a test does

    def login(self, broker: str = "zerodha") -> None:
        """What the broker accepts now is what the database has."""
        row = self.adapters[broker].row_for(self.brokers[broker].credentials)
        user = _USERS[broker]
        self.rows[user] = AuthRow(name=user, broker=broker, **row)

    def expire(self) -> None:
        """The broker has another token from now on; the database has not."""
        self.broker.credentials["access_token"] = f"tomorrows-access-token-{self.seconds():g}"

    async def subscribe(self, wish: Wish, instruments: Iterable[Instrument] | None = None) -> list[Any]:
        """Ask for these (default: for all); the answers."""
        chosen = self.instruments if instruments is None else instruments
        wants = [Want(one.symbol, one.exchange, wish) for one in chosen]
        answers = self.manager.subscribe("ann", wants)
        await self.until(lambda: answers.called, 5, "the subscribe is answered")
        return list(answers.result)  # type: ignore[arg-type]

    async def hold(self, wish: Wish) -> list[Hold]:
        """Have everything, ticking, on connections that have proved their worth."""
        answers = await self.subscribe(wish)
        assert all(isinstance(answer, Granted) for answer in answers)
        await self.ticking(5)
        await self.run(2.0)
        return [
            Hold(answer.feed, one.symbol, one.exchange, answer.wish)
            for one, answer in zip(self.instruments, answers, strict=True)
        ]

    async def ticking(self, limit: float, names: set[Name] | None = None) -> float:
        """Wait until every symbol has ticked anew; how many seconds that took."""
        self.bus.ticked.clear()
        return await self.ticked(limit, names)

    async def ticked(self, limit: float, names: set[Name] | None = None) -> float:
        """Wait until every symbol has ticked since ``bus.ticked`` was cleared."""
        expected = self.names if names is None else names
        return await self.until(lambda: expected <= self.bus.ticked.keys(), limit, "everything ticks")

    async def exactly_once(
        self, broker: SimulatedBroker | None = None, names: set[Name] | None = None
    ) -> None:
        """For two seconds: every tick of the broker that serves is published, and none twice.

        Then the last value of every symbol is the exchange's.
        """
        source = broker or self.broker
        expected = self.names if names is None else names
        sent: Counter[Name] = Counter()

        def count(ticks: Sequence[Tick]) -> None:
            sent.update((tick.instrument.symbol, tick.instrument.exchange) for tick in ticks)

        for one in self.brokers.values():
            one.rate = 0.0
        await self.run(0.5)
        self.bus.ticked.clear()
        source.observers.append(count)
        source.rate = self.rate
        await self.run(2.0)
        source.rate = 0.0
        await self.run(0.5)
        source.observers.remove(count)
        assert self.bus.ticked == Counter({name: sent[name] for name in sent if name in expected})
        assert self.bus.backwards == []
        for instrument in self.instruments:
            name = (instrument.symbol, instrument.exchange)
            if name in expected:
                published = json.loads(self.bus.last[name].body)["ltp"]
                assert published == self.exchange.last(instrument).ltp
        for one in self.brokers.values():
            one.rate = self.rate

    def carried(self, broker: str = "zerodha") -> list[int]:
        """How many instruments each connection to a broker holds."""
        return sorted(served.connection.held() for served in self.brokers[broker].connections)

    def attempts(self, since: float, broker: str = "zerodha") -> int:
        """Connections that the broker has counted since then."""
        return len(self.brokers[broker].journal.since(since))

    def down(self) -> Callable[[], bool]:
        """Whether the feed has been reported as anything but connected since now."""
        before = len(self.listener.statuses)
        return lambda: any(s.state is not FeedState.CONNECTED for s in self.listener.statuses[before:])


@contextmanager
def scenes() -> Iterator[Callable[..., Scene]]:
    """What makes scenes; in the end nothing may be left of them."""
    from twisted.internet import reactor

    made: list[Scene] = []

    def make(**options: Any) -> Scene:
        made.append(Scene(Clockwork(reactor), **options))
        return made[-1]

    yield make
    for scene in made:
        pytest_twisted.blockon(Deferred.fromCoroutine(scene.end()))


class _Adapters:
    def __init__(self, adapters: Mapping[str, Adapter]) -> None:
        self._adapters = adapters

    def names(self) -> list[str]:
        return sorted(self._adapters)

    def load(self, name: str) -> Adapter:
        return self._adapters[name]
