"""A simulated broker, the server as configured, and clients: each in processes of their own."""

from __future__ import annotations

import json
import os
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from types import TracebackType
from typing import Any, Self

import figures
import journey
from large import Broker, Gateway
from load import Receiver

from clients import connect_all

#: Seconds that anything may take, and between two looks at the status port.
PATIENCE, LOOK = 120.0, 0.2

#: Instruments that an account of the simulated broker may hold: 3 connections of 3,000.
PER_ACCOUNT = 9000

#: Bytes of a message that is recorded, at most.
MESSAGE = 600

#: Seconds at a new rate before it counts.
WARM = 1.0

#: The configuration's own, which a run with the simulator must not touch or can't use: its database and users
#: are made for the run, it has to say where it listens, and its clients answer no pings.
OWN = frozenset(
    {"API_KEY_PEPPER", "DATABASE_URL", "LOG_FORMAT", "LOG_LEVEL", "WS_ADMIN_TOKEN", "WS_FEED_PLAN"}
)


@dataclass(frozen=True)
class Load:
    """Half of the ticks are of the ``busy`` instruments. Each client holds ``symbols`` of these, drawn for it
    alone; one client holds all ``instruments``. The broker offers the rates (ticks/s) one after the other,
    for ``seconds`` together. ``throttle`` (ms) is what the clients ask for."""

    instruments: int
    busy: int
    clients: int
    symbols: int
    throttle: int
    rates: Sequence[float]
    seconds: float


@dataclass(frozen=True)
class Step:
    """What was counted at one rate. Start and end are ns of the monotonic clock, what it used and waited for
    seconds of all the server's processes."""

    rate: float
    start: int
    end: int
    deliveries: int
    cpu: float
    waited: float
    memory: float


@dataclass(frozen=True)
class Outcome:
    """The figures of each rate, and of the whole: how many instruments were traded, how many deliveries a
    newer value replaced, and for how many instruments the sampled client lacks the last value."""

    rates: list[dict[str, Any]]
    traded: int
    conflated: int
    lost: int


def settings_from(file: Mapping[str, str]) -> dict[str, str]:
    """What the server's environment is to say: the file's lines, unless this environment says otherwise."""
    given = {name: os.environ.get(name) or value for name, value in file.items() if name not in OWN}
    return {name: value for name, value in given.items() if value}


class Installation:
    """All of it, until the context ends."""

    def __init__(self, load: Load, settings: Mapping[str, str]) -> None:
        self._load = load
        self._settings = settings
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        load = self._load
        accounts = ceil(load.instruments / PER_ACCOUNT)
        self.broker = Broker(load.instruments, accounts, None, load.busy)
        self._stack.callback(self.broker.end)
        #: The instruments' names, as clients ask for them.
        self.names = [f"{row.exchange}:{row.symbol}" for row in self.broker.rows]
        self.server = self._stack.enter_context(Gateway(None, self.broker, self._settings))
        ticks = sum(load.rates) * load.seconds / len(load.rates) + load.instruments
        self.receiver = self._stack.enter_context(Receiver(load.clients, int(2 * ticks * MESSAGE)))

    @property
    def page(self) -> str:
        """Where the status page is."""
        return f"http://127.0.0.1:{self._settings['STATUS_PORT']}/"

    def status(self) -> Any:
        """What /api/status says."""
        with urllib.request.urlopen(f"{self.page}api/status", timeout=PATIENCE) as answer:
            return json.load(answer)

    def connect(self) -> None:
        """Connect the clients; the one that is sampled holds everything."""
        draw, busy = random.Random(7), self.names[: self._load.busy]
        plans = [draw.sample(busy, self._load.symbols) for _ in range(self._load.clients)]
        plans[self.receiver.sampled] = self.names
        self._holders = Counter(name for plan in plans for name in plan)
        options = {"throttle_ms": self._load.throttle}
        connect_all(
            self.server.port,
            self.server.key,
            plans,
            "quote",
            options,
            done=self.receiver.add,
            seconds=PATIENCE,
        )

    def wait_until_live(self) -> int:
        """Wait until the broker has been asked for everything; how many instruments are live."""
        end = time.monotonic() + PATIENCE
        while (count := live(self.status())) < len(self.names) and time.monotonic() < end:
            time.sleep(LOOK)
        return count

    def run(self) -> Outcome:
        """Offer each rate in turn, and wait until everything has arrived."""
        self.broker.tell("note")
        before = self.receiver.messages()
        seconds = self._load.seconds / len(self._load.rates)
        steps = [self._step(rate, seconds) for rate in self._load.rates]
        self.broker.tell("rate", 0.0)
        self.receiver.settle(None)
        sent, received = self.broker.noted(), list(journey.messages(self.receiver))
        due = sum(len(times) * self._holders[name] for (name, _), times in sent.items())
        return Outcome(
            rates=[self._row(step, sent, received) for step in steps],
            traded=len({name for name, _ in sent}),
            conflated=max(0, due - (self.receiver.messages() - before)),
            lost=journey.lost(sent, received),
        )

    def _step(self, rate: float, seconds: float) -> Step:
        self.broker.tell("rate", rate)
        time.sleep(min(WARM, seconds / 2))
        server = self.server
        before, cpu, waited, start = (
            self.receiver.messages(),
            server.cpu(),
            server.waited(),
            time.monotonic_ns(),
        )
        time.sleep(seconds)
        return Step(
            rate=rate,
            start=start,
            end=time.monotonic_ns(),
            deliveries=self.receiver.messages() - before,
            cpu=server.cpu() - cpu,
            waited=server.waited() - waited,
            memory=server.memory()[0],
        )

    def _row(self, step: Step, sent: journey.Sent, received: Sequence[journey.Received]) -> dict[str, Any]:
        took = (step.end - step.start) / 1e9
        ticks = sum(step.start <= at < step.end for times in sent.values() for at in times)
        return {
            "offered": step.rate,
            "ticks_per_second": ticks / took,
            "deliveries_per_second": step.deliveries / took,
            **figures.latencies(journey.matched(journey.within(sent, step.start, step.end), received)),
            "cores_busy": step.cpu / took,
            "waiting": step.waited / took,
            "memory_mb": step.memory,
        }


def live(status: Mapping[str, Any]) -> int:
    """Instruments that live connections have asked the broker for."""
    return sum(
        connection["asked"]
        for account in status["accounts"]
        for pool in account["pools"]
        for connection in pool["connections"]
        if connection["state"] == "live"
    )
