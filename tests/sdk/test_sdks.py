"""Brokers' own SDKs, connected to our simulators: what they decode is what the simulated exchange has.

The simulators were written from the sheets and so were the codecs; here somebody else reads what the
simulators send. See README.md for how to add one.
"""

from __future__ import annotations

import importlib
import json
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from openalgo_ws.adapter import Adapter
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.server import SimulatedBroker
from openalgo_ws.simulator.universe import localise, universe
from openalgo_ws.tick import Depth, Instrument, Tick
from tests.feeds.connection.servers import Gate
from tests.sdk.environments import HERE, Environment, NotMade

pytestmark = pytest.mark.slow

QUOTE = frozenset({"ltp", "open", "high", "low", "close", "volume", "last_trade_quantity", "avg_trade_price"})
BOOK = frozenset({"buy", "sell"})
#: Seconds after which a test is given up. Nothing is measured.
PATIENCE = 60.0


@dataclass(frozen=True)
class Sdk:
    """One SDK: whose, and which fields it must have told in each mode."""

    broker: str
    quote: frozenset[str] = QUOTE | {"total_buy_quantity", "total_sell_quantity"}
    depth: frozenset[str] = QUOTE | {"total_buy_quantity", "total_sell_quantity", "oi"} | BOOK
    exchanges: Collection[str] = ("NSE", "BSE", "NFO", "MCX")


SDKS = [
    Sdk("zerodha"),
    Sdk("angel", depth=Sdk.depth | {"upper_circuit", "lower_circuit"}),
    Sdk("dhan"),
    Sdk("fyers", depth=BOOK),
]


class Driver(ProcessProtocol):
    """A driver in its own process: what it has told of each instrument."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.other: list[bytes] = []
        self.ended: Failure | None = None
        self._rest = b""

    def outReceived(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            # Some SDKs print things of their own.
            if line.startswith(b'{"name"'):
                decoded = json.loads(line)
                self.told[decoded.pop("name")].append(decoded)
            else:
                self.other.append(line)
        self.gate.stir()

    def errReceived(self, data: bytes) -> None:
        self.other.append(data)

    def processEnded(self, reason: Failure) -> None:
        self.ended = reason
        self.gate.stir()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait; fails if the driver ends before."""
        await self.gate.until(lambda: self.ended is not None or condition())
        assert self.ended is None, b"\n".join(self.other).decode("utf-8", "replace")


class Rig:
    """A simulated broker, some of its instruments in each mode, and every state that they have been in."""

    def __init__(self, sdk: Sdk, folder: Path) -> None:
        adapter: Adapter = importlib.import_module(f"openalgo_adapters.{sdk.broker}").adapter
        assert adapter.simulator is not None
        environment = SimulatedEnvironment(reactor, start=time() - reactor.seconds(), seed=1)
        listings = localise(universe(400, environment.today()), adapter)
        exchange = Exchange(listings, environment.now, seed=1)
        self.modes = dict(self._chosen(exchange.instruments(), sdk.exchanges))
        self.names = {f"{one.exchange}:{one.symbol}": one for one in self.modes}
        self.exchange = Exchange(
            [one for one in listings if one.instrument in self.modes], environment.now, seed=1
        )
        self.broker = SimulatedBroker(adapter.simulator, self.exchange, reactor, environment, rate=200)
        self.states: dict[str, list[Tick]] = {n: [self.exchange.last(i)] for n, i in self.names.items()}
        self.broker.observers.append(self._note)
        self.broker.listen()
        self.driver = Driver(Gate(reactor, PATIENCE))
        task = {
            "url": self.broker.url,
            "http": self.broker.url.replace("ws:", "http:"),
            "credentials": self.broker.credentials,
            "instruments": [
                {
                    "name": name,
                    "mode": self.modes[one],
                    "exchange": one.exchange,
                    "token": one.token,
                    "brsymbol": one.brsymbol,
                }
                for name, one in self.names.items()
            ],
        }
        python = str(Environment(sdk.broker).python)
        self.process = reactor.spawnProcess(
            self.driver,
            python,
            [python, str(HERE / "drivers" / f"{sdk.broker}.py"), json.dumps(task)],
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
            path=str(folder),
        )

    @staticmethod
    def _chosen(
        instruments: Iterator[Instrument], exchanges: Collection[str]
    ) -> Iterator[tuple[Instrument, str]]:
        """Two of each exchange for each mode; indices, which have no book, for quotes."""
        taken: Counter[str] = Counter()
        for one in instruments:
            place = taken[one.exchange]
            if one.exchange in exchanges and place < 6:
                yield one, ("ltp", "quote", "depth")[place % 3]
            elif one.is_index and one.exchange.removesuffix("_INDEX") in exchanges and place < 2:
                yield one, "quote"
            taken[one.exchange] += 1

    def _note(self, ticks: Sequence[Tick]) -> None:
        for tick in ticks:
            self.states[f"{tick.instrument.exchange}:{tick.instrument.symbol}"].append(tick)

    def is_current(self, name: str) -> bool:
        """Whether the driver has told of an instrument as it stands."""
        return same(self.driver.told[name][-1], self.states[name][-1])

    def check_told(self) -> None:
        """All that was told is true: a state that the instrument was in, none older than the one before."""
        for name, decoded in self.driver.told.items():
            states, at = self.states[name], 0
            for one in decoded:
                found = next((i for i in range(at, len(states)) if same(one, states[i])), None)
                assert found is not None, f"{name} was never so: {one}; it is {states[-1]}"
                at = found

    async def end(self) -> None:
        if self.driver.ended is None:
            self.process.signalProcess("KILL")
            await self.driver.gate.until(lambda: self.driver.ended)
        await self.broker.stop()


def same(decoded: dict[str, Any], state: Tick) -> bool:
    """Whether every field that was decoded is what the exchange says."""
    return all(_same_field(name, value, state) for name, value in decoded.items())


def _same_field(name: str, value: Any, state: Tick) -> bool:
    if name in BOOK:
        book = state.depth or Depth((), ())
        levels = [[one.price, one.quantity, one.orders] for one in getattr(book, name)]
        # A side with fewer levels is filled up with zeros.
        told = [level for level in value if any(level)]
        return len(told) == len(levels) and all(
            math.isclose(a, b, abs_tol=1e-6)
            for mine, its in zip(levels, told, strict=True)
            for a, b in zip(mine, its, strict=True)
        )
    return math.isclose(value, getattr(state, name) or 0, abs_tol=1e-6)


@pytest.fixture(params=SDKS, ids=lambda sdk: sdk.broker)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Sdk, Rig]]:
    sdk: Sdk = request.param
    try:
        Environment(sdk.broker).make()
    except NotMade as reason:
        pytest.skip(str(reason))
    rig = Rig(sdk, tmp_path)
    yield sdk, rig
    pytest_twisted.blockon(Deferred.fromCoroutine(rig.end()))


@pytest_twisted.ensureDeferred
async def test_the_sdk_decodes_what_the_exchange_says(rig: tuple[Sdk, Rig]) -> None:
    sdk, world = rig
    driver, told = world.driver, world.driver.told
    await driver.until(lambda: all(len(told[name]) >= 5 for name in world.names))
    world.check_told()
    world.broker.rate = 0.0
    await driver.until(lambda: all(map(world.is_current, world.names)))
    world.process.closeStdin()
    await driver.gate.until(lambda: driver.ended)
    assert driver.ended is not None
    assert driver.ended.check(ProcessDone), driver.other
    world.check_told()
    for name, one in world.names.items():
        fields = {"ltp": {"ltp"}, "quote": sdk.quote, "depth": sdk.depth}[world.modes[one]]
        if one.is_index:
            fields = {"ltp", "close"}
        assert fields <= told[name][-1].keys()
    assert Counter(world.modes.values()).keys() == {"ltp", "quote", "depth"}
