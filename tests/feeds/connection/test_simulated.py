"""Zerodha's adapter on a connection to the simulated broker: three thousand instruments through faults."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import pytest_twisted

from openalgo_ws.adapter import Change, Keepalive, Refused
from openalgo_ws.feeds.authoriser import Authoriser
from openalgo_ws.feeds.connection import Connection, ConnectionOptions
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.feeds.options import Network
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.server import SimulatedBroker
from openalgo_ws.simulator.universe import localise, universe
from openalgo_ws.tick import Mode, Wish
from tests.feeds.connection.conftest import Open24Hours, Store
from tests.feeds.connection.servers import Gate

MANY = 3000


class Counting:
    """A listener that knows which instruments have ticked since it was last asked to forget."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.states: list[S] = []
        self.ticked_by: Counter[str] = Counter()

    def state_changed(self, connection: Any, state: S, message: str) -> None:
        self.states.append(state)
        self.gate.stir()

    def ticked(self, connection: Any, ticks: Any) -> None:
        self.ticked_by.update(tick.instrument.token for tick in ticks)
        self.gate.stir()

    def ordered(self, connection: Any, update: Any) -> None:
        raise AssertionError(update)

    def rejected(self, connection: Any, rejected: Any) -> None:
        raise AssertionError(rejected)


class Market:
    """A simulated Zerodha and one connection to it that wants everything."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.gate = Gate(reactor)
        adapter = importlib.import_module("openalgo_adapters.zerodha").adapter
        environment = SimulatedEnvironment(reactor, seed=1)
        listings = localise(universe(MANY, date(2026, 11, 20)), adapter)
        self.exchange = Exchange(listings, environment.now, seed=1)
        self.broker = SimulatedBroker(adapter.simulator, self.exchange, reactor, environment, rate=2000)
        self.broker.listen()
        self.store = Store()
        self.store.credentials = dict(self.broker.credentials)
        self.heard = Counting(self.gate)
        options = ConnectionOptions(base_url=self.broker.url, backoff_first=0.05)
        network = Network.of(reactor, SystemEnvironment(), options)
        feed = replace(adapter.feeds[0], keepalive=Keepalive(ping_interval=0.2, pong_timeout=0.2))
        self.connection = Connection(
            reactor=reactor,
            adapter=adapter,
            feed=feed,
            user="trader",
            credentials=self.store.read,
            authoriser=Authoriser(clock=reactor, http=network.http, environment=SystemEnvironment()),
            environment=SystemEnvironment(),
            listener=self.heard,
            sessions=Open24Hours(),
            options=options,
            network=network,
        )
        self.connection.want(
            [Change(one, None, Wish(Mode.QUOTE)) for one in self.exchange.instruments()],
        )

    async def all_tick(self) -> None:
        self.heard.ticked_by.clear()
        await self.gate.until(lambda: len(self.heard.ticked_by) == MANY)

    async def down(self) -> None:
        before = len(self.heard.states)
        await self.gate.until(lambda: S.BACKING_OFF in self.heard.states[before:])


@pytest.fixture
def market() -> Iterator[Market]:
    from twisted.internet import reactor

    market = Market(reactor)
    yield market
    pytest_twisted.blockon(market.connection.stop())
    pytest_twisted.blockon(_deferred(market.broker.stop()))


def _deferred(coroutine: Any) -> Any:
    from twisted.internet.defer import Deferred

    return Deferred.fromCoroutine(coroutine)


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_everything_wanted_ticks_again_after_every_fault(market: Market) -> None:
    market.connection.start()
    await market.all_tick()
    for fault in (market.broker.tear, market.broker.reset):
        down = market.down()
        fault()
        await down
        await market.all_tick()
    market.broker.faults.no_pong = True
    await market.down()
    market.broker.faults.clear()
    await market.all_tick()
    port = market.broker.port
    await market.broker.stop()
    market.broker.listen(port)
    await market.all_tick()
    assert [served.connection.held() for served in market.broker.connections] == [MANY]
    assert market.connection.counters.malformed == 0
    assert len(market.broker.journal.attempts) <= 8


@pytest_twisted.ensureDeferred
async def test_a_token_that_expires_overnight(market: Market) -> None:
    market.connection.start()
    await market.all_tick()
    market.broker.credentials["access_token"] = "tomorrows-access-token"
    market.broker.reset()
    await market.gate.until(lambda: market.connection.state is S.AUTH_FAILED)
    attempts = len(market.broker.journal.attempts)
    market.store.credentials = dict(market.broker.credentials)
    market.connection.credentials_changed()
    await market.all_tick()
    assert len(market.broker.journal.attempts) == attempts + 1


@pytest_twisted.ensureDeferred
async def test_a_refusal_comes_with_the_codecs_verdict(market: Market) -> None:
    market.broker.faults.refuse = Refused(429, {}, b"{}")
    market.connection.start()
    await market.down()
    assert market.connection.counters.ended == {"too_many": 1}
