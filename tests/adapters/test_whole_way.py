"""The whole way of a tick, for every broker there is: simulator → adapter → bus → client.

One server in a process of its own, as a user runs it: a database with a user for every broker, who
is logged in at that broker's simulator. Each test lets its broker trade on a real socket.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from time import time
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import add_user, login
from openalgo_ws.adapter import Adapter, Order
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.server import SimulatedBroker
from openalgo_ws.simulator.universe import localise, universe
from openalgo_ws.symbols.store import replace
from openalgo_ws.tick import Instrument, Tick
from tests.gateway.client import Client, connect
from tests.support.process import ServerProcess, free_port
from tests.support.vault import cheap_vault

pytestmark = pytest.mark.slow

INSTRUMENTS = 24
#: Messages within which everything has happened.
MANY = 3_000


def key_of(name: str) -> str:
    return f"the-key-of-the-user-at-{name}"


def simulated(adapter: Adapter) -> SimulatedBroker:
    assert adapter.simulator is not None
    environment = SimulatedEnvironment(reactor, start=time() - reactor.seconds(), seed=1)
    listings = localise(universe(INSTRUMENTS, date.today(), set(adapter.exchanges)), adapter)
    exchange = Exchange(listings, environment.now, seed=1)
    return SimulatedBroker(adapter.simulator, exchange, reactor, environment, rate=200)


class World:
    """The server, and a simulated broker for each adapter, which listens when its test comes."""

    def __init__(self, adapters: dict[str, Adapter], folder: Any) -> None:
        self.ports = {name: free_port() for name in adapters}
        self.brokers = {name: simulated(adapter) for name, adapter in adapters.items()}
        self._fill(adapters, f"sqlite:///{folder}/server.db")
        urls = {
            f"{name.upper()}_FEED_URL": f"{'tcp' if broker.takes_streams else 'ws'}://127.0.0.1:{port}"
            for (name, broker), port in zip(self.brokers.items(), self.ports.values(), strict=True)
        }
        self.server = ServerProcess(folder, **urls)

    def _fill(self, adapters: dict[str, Adapter], url: str) -> None:
        database, vault = Database(url), cheap_vault()
        database.prepare()
        for name, adapter in adapters.items():
            broker = self.brokers[name]

            def fill(
                connection: Any, name: str = name, adapter: Adapter = adapter, broker: Any = broker
            ) -> None:
                replace(connection, name, list(broker.exchange.rows()))
                add_user(connection, vault, name, name, key=key_of(name))
                login(connection, vault, name, name, adapter.row_for(broker.credentials))

            database.call(fill)
        database.stop()


@pytest.fixture(scope="module")
def world(adapters: dict[str, Adapter], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(adapters, tmp_path_factory.mktemp("whole-way"))
    try:
        made.server.start()
        yield made
    finally:
        made.server.kill()


class Told:
    """What the exchange has said of each instrument, by name and field."""

    def __init__(self, broker: SimulatedBroker) -> None:
        self._said: dict[tuple[str, str], dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
        for instrument in broker.exchange.instruments():
            self._note(broker.exchange.last(instrument))
        broker.observers.append(lambda ticks: [self._note(tick) for tick in ticks] and None)

    def _note(self, tick: Tick) -> None:
        said = self._said[tick.instrument.exchange, tick.instrument.symbol]
        for name in ("ltp", "open", "high", "low", "close", "volume"):
            said[name].add(getattr(tick, name))
        if tick.depth is not None:
            said["buy"].update(level.price for level in tick.depth.buy)
            said["sell"].update(level.price for level in tick.depth.sell)

    def check(self, message: dict[str, Any], adapter: Adapter) -> None:
        """Nothing in the tick that the exchange has not said."""
        said = self._said[message["exchange"], message["symbol"]]
        data = message["data"]
        assert data["ltp"] in said["ltp"]
        if message["mode"] > 1:
            for name in ("open", "high", "low", "close", "volume"):
                assert name not in data or data[name] in said[name] or data[name] == 0, name
        if message["mode"] == 3 and adapter.levels(message["exchange"]):
            for way in ("buy", "sell"):
                prices = [level["price"] for level in data["depth"][way]]
                # A side may be short of levels, which are then zeros.
                assert set(prices) - {0} <= said[way]


async def ticks_of_all(
    client: Client, told: Told, adapter: Adapter, expected: set[tuple[str, str, int]]
) -> None:
    """Receive until everything that is subscribed has ticked."""
    missing = set(expected)
    for _ in range(MANY):
        if not missing:
            return
        message = await client.next()
        assert message["type"] == "market_data", message
        told.check(message, adapter)
        missing.discard((message["symbol"], message["exchange"], message["mode"]))
    raise AssertionError(f"never came: {missing}")


@pytest_twisted.ensureDeferred
async def test_from_the_broker_to_the_client(subject: Any, world: World) -> None:
    adapter, broker = subject.adapter, world.brokers[subject.name]
    told = Told(broker)
    broker.listen(world.ports[subject.name])
    client = await connect(world.server.port)
    try:
        answer = await client.ask(action="authenticate", api_key=key_of(subject.name))
        assert (answer["status"], answer["broker"]) == ("success", subject.name)
        expected = set()
        names = [(i.symbol, i.exchange) for i in broker.exchange.instruments()]
        for mode in (1, 2, 3):
            some = names[mode - 1 :: 3]
            symbols = [{"symbol": symbol, "exchange": exchange} for symbol, exchange in some]
            answer = await client.ask(action="subscribe", symbols=symbols, mode=mode)
            while answer["type"] == "market_data":
                answer = await client.next()
            granted = [one for one in answer["subscriptions"] if one["status"] == "success"]
            refused = [one for one in answer["subscriptions"] if one["status"] != "success"]
            # A broker that has no book on an exchange says so.
            assert all(mode == 3 and not adapter.levels(one["exchange"]) for one in refused), refused
            expected |= {(one["symbol"], one["exchange"], mode) for one in granted}
        assert len(expected) >= len(names) / 2
        await ticks_of_all(client, told, adapter, expected)
        await check_orders(subject, broker, client)
    finally:
        await client.end()
        await broker.stop()


async def check_orders(subject: Any, broker: SimulatedBroker, client: Client) -> None:
    """An order update comes by the same way, where the broker streams them."""
    if not any(feed.orders for feed in subject.adapter.feeds):
        return
    instrument = next(i for i in broker.exchange.instruments() if not i.is_index)
    client.request(action="subscribe_orders")
    for number in range(MANY):
        message = await client.next()
        if message["type"] == "order_update":
            break
        if message["type"] == "subscribe_orders":
            assert message["status"] == "success", message
        # The stream may come up at any time now: an order with every tick until one arrives.
        broker.order(an_order(f"{number}", instrument), instrument.token)
    assert message["type"] == "order_update"
    assert message["order_status"] == "complete"
    told = {"symbol": instrument.symbol, "exchange": instrument.exchange}
    told |= subject.declared.get("order_fields", {})
    assert (message["symbol"], message["exchange"]) == (told["symbol"], told["exchange"])


def an_order(orderid: str, instrument: Instrument) -> Order:
    return Order(
        orderid=orderid,
        symbol=instrument.symbol,
        exchange=instrument.exchange,
        action="BUY",
        quantity=10,
        price=100.0,
        trigger_price=0.0,
        pricetype="LIMIT",
        product="MIS",
        order_status="complete",
        filled_quantity=10,
        pending_quantity=0,
        average_price=100.0,
    )
