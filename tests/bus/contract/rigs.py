"""The buses that the contract is held against. A further bus is one more class in `RIGS`.

A rig makes one bus of its kind with a bound so small that tests reach it, and can do to it what no
user of the interface can: send it rubbish, and take its publisher away.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from pathlib import Path
from secrets import token_hex
from typing import Any

import zmq
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred

from openalgo_ws.bus.interface import Bus, BusPublisher, BusSubscriber
from openalgo_ws.bus.nats import NatsBus
from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.bus.ring import Wait
from openalgo_ws.bus.segment import folder
from openalgo_ws.bus.shm import ShmBus, ShmPublisher
from openalgo_ws.bus.zeromq import ZmqBus
from openalgo_ws.bus.zmq_socket import BusEndpoint
from tests.bus.contract.receiver import until
from tests.support.nats_server import NATS_SERVER, NatsServer


class Rig(ABC):
    """One bus. At least ``bound`` messages wait on it before ticks are conflated, and at most ``orders``
    order updates before they are lost."""

    bound: int
    orders: int

    def __init__(self, reactor: Any, folder: Path) -> None:
        self.reactor = reactor
        self.folder = folder

    @property
    @abstractmethod
    def bus(self) -> Bus:
        """The bus that publisher and subscribers are made from."""

    async def open(self) -> None:
        """Wait until it can be used at all."""

    def taken(self, publisher: BusPublisher, subscriber: BusSubscriber) -> int:
        """How much of what was published has a place of its own on the bus. While nobody receives, that
        ceases to grow."""
        return publisher.published - publisher.conflated - publisher.backlog()

    @abstractmethod
    async def send_rubbish(self, publisher: BusPublisher) -> int:
        """Send messages that no publisher of the bus makes; how many a subscriber has to count."""

    @abstractmethod
    def replace_publisher(self, publisher: BusPublisher) -> BusPublisher:
        """End the publisher as if its process had died, and make another in its place."""

    @abstractmethod
    async def close(self) -> None:
        """Give everything back."""


class ZmqRig(Rig):
    """ZeroMQ with small high-water marks; the publisher is bound, so that many may subscribe."""

    # Room that has become free is told in halves of the high-water mark.
    bound = 8
    orders = 16

    def __init__(self, reactor: Any, folder: Path) -> None:
        super().__init__(reactor, folder)
        self._zmq = ZmqBus(reactor)
        self._context = zmq.Context()
        address = f"ipc://{folder}/bus"
        self._outside = f"ipc://{folder}/outside"
        self._bus = self._zmq.way(
            publish=[BusEndpoint(address, bind=True)],
            subscribe=[BusEndpoint(address, bind=False), BusEndpoint(self._outside, bind=False)],
            high_water_mark=self.orders,
        )

    @property
    def bus(self) -> Bus:
        return self._bus

    async def send_rubbish(self, publisher: BusPublisher) -> int:
        foreign = self._context.socket(zmq.XPUB)
        foreign.bind(self._outside)
        await until(lambda: foreign.poll(0))
        for _ in range(2):
            foreign.send_multipart([b"a topic and no payload"])
            foreign.send_multipart([b"NSE_SBIN_LTP", b'{"ltp":1}'])
        return 2

    def replace_publisher(self, publisher: BusPublisher) -> BusPublisher:
        publisher.close()
        return self._bus.publisher()

    async def close(self) -> None:
        self._context.destroy(linger=0)
        self._bus.shutdown()
        self._zmq.shutdown()


class ShmRig(Rig):
    """Shared memory: a ring that three of the tests' longest messages fill."""

    bound = 8
    orders = 16
    wait = Wait.BLOCKING

    def __init__(self, reactor: Any, folder: Path) -> None:
        super().__init__(reactor, folder)
        self._name = f"test-{token_hex(8)}"
        self._bus = self._make()

    @property
    def bus(self) -> Bus:
        return self._bus

    async def send_rubbish(self, publisher: BusPublisher) -> int:
        assert isinstance(publisher, ShmPublisher)
        for rubbish in (b"", b"\x05", b"\x00\x00topic", b"\xff\xffshort", b"\x05\x00topic"):
            publisher._ring.publish(rubbish)
        return 5

    def replace_publisher(self, publisher: BusPublisher) -> BusPublisher:
        publisher.close()
        return self._bus.publisher()

    async def close(self) -> None:
        self._bus.shutdown()
        assert not list(folder().glob(f"*{self._name}*"))

    def _make(self) -> ShmBus:
        return ShmBus(
            self.reactor, self._name, slots=2048, slot_bytes=256, wait=self.wait, updates=self.orders
        )


class ShmYieldingRig(ShmRig):
    """The same with the strategy that looks for a while before it sleeps."""

    wait = Wait.YIELDING


class ShmSpinningRig(ShmRig):
    """The same with the strategy that never sleeps."""

    wait = Wait.BUSY_SPIN


class NatsRig(Rig):
    """NATS: the server takes everything, so it is the subscriber that conflates."""

    bound = 8
    orders = 16

    def __init__(self, reactor: Any, folder: Path) -> None:
        super().__init__(reactor, folder)
        self._server = NatsServer(folder)
        self._link = NatsLink(reactor, [self._server.url])
        self._bus = NatsBus(self._link, bound=4 * self.bound, updates=self.orders)

    @property
    def bus(self) -> Bus:
        return self._bus

    async def open(self) -> None:
        await until(lambda: self._link.client is not None)

    def taken(self, publisher: BusPublisher, subscriber: BusSubscriber) -> int:
        # What is on its way, now more and now less, can't be seen; but not where it is conflated.
        return int(subscriber.conflated == 0)

    async def send_rubbish(self, publisher: BusPublisher) -> int:
        client = self._link.client
        assert client is not None
        for subject in ("oa.t.feed.NSE.SBIN.LATER", "oa.x.=zz", "oa.f.NSE.LTP"):
            await Deferred.fromFuture(asyncio.ensure_future(client.publish(subject, b"{}")))
        return 3

    def replace_publisher(self, publisher: BusPublisher) -> BusPublisher:
        publisher.close()
        return self._bus.publisher()

    async def close(self) -> None:
        self._bus.shutdown()
        await self._link.stop()
        self._server.kill()


def _rigs() -> list[type[Rig]]:
    from twisted.internet import reactor

    # nats-py needs asyncio's reactor: tests/bus/test_nats.py runs these tests on it in a process of its own.
    if isinstance(reactor, AsyncioSelectorReactor):
        return [NatsRig] if NATS_SERVER is not None else []
    return [ZmqRig, ShmRig, ShmYieldingRig, ShmSpinningRig]


#: Every bus that lives on this reactor.
RIGS: list[type[Rig]] = _rigs()
