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
from collections.abc import Callable, Iterator, Sequence
from functools import cache
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
from tests.sdk.sdks import BOOK, SDKS, Sdk, levels_of

pytestmark = pytest.mark.slow

#: Seconds after which a test is given up. Nothing is measured.
PATIENCE = 60.0


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
        self.exchanges = set(sdk.exchanges) & adapter.exchanges.keys()
        environment = SimulatedEnvironment(reactor, start=time() - reactor.seconds(), seed=1)
        listings = localise(universe(400, environment.today(), adapter.exchanges), adapter)
        self.modes = dict(self._chosen((one.instrument for one in listings), sdk))
        self.names = {f"{one.exchange}:{one.symbol}": one for one in self.modes}
        chosen = [one for one in listings if one.instrument in self.modes]
        self.exchange = Exchange(chosen, environment.now, seed=1, levels=max(5, sdk.levels))
        self.broker = SimulatedBroker(adapter.simulator, self.exchange, reactor, environment, rate=200)
        self.states: dict[str, list[Tick]] = {n: [self.exchange.last(i)] for n, i in self.names.items()}
        self.broker.observers.append(self._note)
        self.broker.listen()
        self.driver = Driver(Gate(reactor, PATIENCE))
        task = {
            "broker": sdk.broker,
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
        home = Environment(sdk.packages)
        python, drivers = str(home.python), HERE / "drivers"
        self.process = reactor.spawnProcess(
            self.driver,
            python,
            [python, str(drivers / "run.py"), str(drivers / f"{sdk.driver}.py"), json.dumps(task)],
            env={"PATH": os.environ["PATH"], "PYTHONPYCACHEPREFIX": str(home.bytecode)},
            path=str(folder),
        )

    @staticmethod
    def _chosen(instruments: Iterator[Instrument], sdk: Sdk) -> Iterator[tuple[Instrument, str]]:
        """Some of each exchange for each mode; indices, which have no book, for quotes."""
        modes = list(sdk.modes)
        taken: Counter[str] = Counter()
        for one in instruments:
            place = taken[one.exchange]
            if one.exchange in sdk.exchanges and place < sdk.most * len(modes):
                yield one, modes[place % len(modes)]
            elif "quote" in modes and one.is_index and place < sdk.most:
                yield one, "quote"
            taken[one.exchange] += 1

    def _note(self, ticks: Sequence[Tick]) -> None:
        for tick in ticks:
            self.states[f"{tick.instrument.exchange}:{tick.instrument.symbol}"].append(tick)

    def is_current(self, name: str) -> bool:
        """Whether the driver has told of an instrument as it stands, both sides of a book if it has one."""
        told, now = self.driver.told[name], self.states[name][-1]
        sides = [[one for one in told if side in one][-1:] for side in BOOK]
        return all(same(one, now) for last in (told[-1:], *sides) for one in last)

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
        book = getattr(state.depth or Depth((), ()), name)[: len(value)]
        # Some don't count the orders.
        width = len(value[0]) if value else 0
        expected = [n for one in book for n in (one.price, one.quantity, one.orders)[:width]]
        # A side with fewer levels is filled up with zeros.
        told = [number for level in value if any(level) for number in level]
        return len(told) == len(expected) and all(map(_close, told, expected))
    return _close(value, getattr(state, name) or 0)


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, abs_tol=1e-6)


@cache
def missing(packages: str) -> str:
    """Why there is no environment for an SDK, after an attempt to make it; nothing if there is one."""
    try:
        Environment(packages).make()
    except NotMade as reason:
        return str(reason)
    return ""


@pytest.fixture(params=SDKS, ids=str)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Sdk, Rig]]:
    sdk: Sdk = request.param
    reason = missing(sdk.packages)
    if reason:
        pytest.skip(reason)
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
        mode = world.modes[one]
        last = {field: value for decoded in told[name] for field, value in decoded.items()}
        assert (sdk.index if one.is_index else sdk.modes[mode]) <= last.keys()
        for side in BOOK & last.keys():
            whole = getattr(world.states[name][-1].depth, side)
            assert len(last[side]) >= min(levels_of(mode), len(whole))
    assert set(world.modes.values()) == set(sdk.modes)
    assert world.exchanges <= {one.exchange for one in world.modes}
