"""The way from the feed process to its workers over real ZeroMQ pipes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from txzmq import ZmqFactory

from openalgo_ws.bus.records import LAST_VALUES
from openalgo_ws.bus.zeromq import BusEndpoint
from openalgo_ws.scale.fanout import Fanout, WorkerBus
from tests.scale.test_local import until


class Worker:
    """A worker's end, which takes everything at once unless it is ``busy``."""

    def __init__(self, address: str) -> None:
        self.factory = ZmqFactory()
        self.factory.reactor = reactor
        self.factory.lingerPeriod = 0
        self.got: list[tuple[bytes, bytes]] = []
        self.busy: Deferred[None] | None = None
        self.bus = WorkerBus(self.factory, self._take)
        self.bus.attach([BusEndpoint(address, bind=False)])

    def _take(self, messages: list[tuple[bytes, bytes]]) -> Deferred[None] | None:
        self.got += messages
        return self.busy

    def close(self) -> None:
        self.factory.shutdown()


class Pipes:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.fanout = Fanout(reactor)
        self.workers: list[Worker] = []

    def address(self, name: str) -> str:
        return f"ipc://{self._folder}/{name}"

    def add(self, name: str) -> None:
        self.fanout.add(name, self.address(name))

    def join(self, name: str) -> Worker:
        self.workers.append(Worker(self.address(name)))
        return self.workers[-1]


@pytest_twisted.async_yield_fixture
async def pipes(tmp_path: Path) -> AsyncIterator[Pipes]:
    made = Pipes(tmp_path)
    yield made
    for worker in made.workers:
        worker.close()
    made.fanout.shutdown()


def ticks(count: int, price: int) -> list[tuple[bytes, bytes]]:
    return [(b"NSE_S%d_LTP" % number, b'{"ltp":%d}' % price) for number in range(count)]


@pytest_twisted.ensureDeferred
async def test_everything_arrives_everywhere_in_order(pipes: Pipes) -> None:
    for name in ("a", "b"):
        pipes.add(name)
    first, second = pipes.join("a"), pipes.join("b")
    sent = [message for price in range(30) for message in ticks(100, price)]
    for start in range(0, len(sent), 250):
        pipes.fanout.receive(sent[start : start + 250])
    await until(lambda: len(first.got) == len(second.got) == len(sent))
    assert first.got == second.got == sent


@pytest_twisted.ensureDeferred
async def test_what_was_sent_before_the_worker_came_is_there(pipes: Pipes) -> None:
    pipes.add("a")
    pipes.fanout.receive(ticks(10, 1))
    worker = pipes.join("a")
    await until(lambda: len(worker.got) == 10)


@pytest_twisted.ensureDeferred
async def test_one_that_takes_nothing_gets_the_latest_later_and_delays_nobody(pipes: Pipes) -> None:
    for name in ("stuck", "quick"):
        pipes.add(name)
    quick = pipes.join("quick")
    link = pipes.fanout.links["stuck"]
    order = (b"ZERODHA_alice_orders", b'{"user_id":"alice"}')
    pipes.fanout.receive([order])
    rounds = 300
    for price in range(rounds):
        pipes.fanout.receive(ticks(100, price))
        await until(lambda price=price: len(quick.got) == 100 * (price + 1) + 1)
    assert link.intake.conflated
    # What waits is bounded by the instruments, and by what is waited with before they are conflated.
    assert link.intake.backlog() < 5000
    assert not link.dropped
    stuck = pipes.join("stuck")
    await until(lambda: dict(stuck.got).get(b"NSE_S99_LTP") == b'{"ltp":299}')
    await until(lambda: not link.intake.backlog())
    assert dict(stuck.got) == dict([order, *ticks(100, rounds - 1)])


@pytest_twisted.ensureDeferred
async def test_a_publisher_outside_cannot_send_last_values(pipes: Pipes) -> None:
    pipes.add("a")
    worker = pipes.join("a")
    pipes.fanout.receive([(LAST_VALUES, b"\x90"), *ticks(1, 1)])
    await until(lambda: worker.got)
    assert worker.got == ticks(1, 1)


@pytest_twisted.ensureDeferred
async def test_a_worker_that_is_gone_is_sent_nothing(pipes: Pipes) -> None:
    pipes.add("a")
    pipes.fanout.remove("a")
    pipes.fanout.remove("a")
    pipes.fanout.receive(ticks(1, 1))
    assert not pipes.fanout.links
