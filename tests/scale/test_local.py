"""The demand protocol over a real Unix socket, with faults."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from openalgo_ws.bus.demand import FeedState, Granted
from openalgo_ws.scale.local import LocalDemandClient, LocalDemandServer
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.server import Bounds, DemandServer
from tests.scale.support import CountingDemand, Heard, hold, want

PATIENCE = 10.0


async def until(condition: Callable[[], object]) -> None:
    """Let the reactor turn until it is so; bounded."""
    deadline = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < deadline, "it did not come to that"
        await deferLater(reactor, 0.01)


class Ends:
    """A feed process' end that can be stopped and started, and a gateway's."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "demand.sock"
        self.demand = CountingDemand()
        self.gateway = RemoteDemand(reactor, gateway="one", generation="1")
        self.heard = Heard()
        self.gateway.listen(self.heard)
        self.client = LocalDemandClient(reactor, self.path, self.gateway)
        self.start("a")
        self.client.startService()

    def start(self, generation: str) -> None:
        server = DemandServer(reactor, self.demand, generation=generation, bounds=Bounds(linger=0.2))
        self.server = server
        self.listening = LocalDemandServer(reactor, self.path, server)
        self.listening.startService()

    async def up(self) -> None:
        await self.gateway.when_up().addTimeout(PATIENCE, reactor)

    async def stop(self) -> None:
        await self.client.stopService()
        await self.listening.stopService()

    def raw(self) -> socket.socket:
        """A connection of a stranger."""
        stranger = socket.socket(socket.AF_UNIX)
        stranger.connect(str(self.path))
        stranger.setblocking(False)
        return stranger


@pytest_twisted.async_yield_fixture
async def ends(tmp_path: Path) -> AsyncIterator[Ends]:
    made = Ends(tmp_path)
    await made.up()
    yield made
    await made.stop()
    await until(lambda: not made.demand.held)


def ended(stranger: socket.socket) -> bool:
    try:
        return stranger.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest_twisted.ensureDeferred
async def test_a_want_and_its_way_back(ends: Ends) -> None:
    (granted,) = await ends.gateway.subscribe("alice", [want("SBIN")])
    assert isinstance(granted, Granted)
    assert ends.gateway.supported_brokers() == ["zerodha"]
    status = await ends.gateway.status("alice")
    assert status.message == "of alice"
    ends.gateway.release([hold("SBIN")])
    await until(lambda: not ends.demand.held)


def test_nobody_else_may_connect(ends: Ends) -> None:
    assert stat.S_IMODE(os.stat(ends.path).st_mode) == 0o600


@pytest_twisted.ensureDeferred
async def test_the_feed_process_restarts(ends: Ends) -> None:
    await ends.gateway.subscribe("alice", [want("SBIN")])
    await ends.listening.stopService()
    assert not ends.demand.held
    await until(lambda: not ends.gateway.up)
    assert ends.heard.states[-1] == (("alice",), FeedState.RECONNECTING)
    ends.start("b")
    await ends.up()
    await until(lambda: ends.demand.held == {hold("SBIN"): 1})
    await until(lambda: ends.heard.states[-1] == (("alice",), FeedState.CONNECTED))


@pytest_twisted.ensureDeferred
async def test_a_gateway_that_dies(ends: Ends) -> None:
    await ends.gateway.subscribe("alice", [want("SBIN")])
    await ends.client.stopService()
    await until(lambda: not ends.demand.held)
    assert not ends.server.gateways()
    ends.client.startService()
    await ends.up()


@pytest_twisted.ensureDeferred
async def test_strangers_do_no_harm(ends: Ends) -> None:
    await ends.gateway.subscribe("alice", [want("SBIN")])
    for nonsense in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x02ab", b"\x00\x00\x00\x01\x90"):
        with ends.raw() as stranger:
            stranger.send(nonsense)
            await until(lambda stranger=stranger: ended(stranger))
    assert ends.gateway.up
    assert ends.demand.held == {hold("SBIN"): 1}


@pytest_twisted.ensureDeferred
async def test_more_than_a_message_holds(ends: Ends) -> None:
    wants = [want(f"SYMBOL-{number}") for number in range(12_345)]
    answers = await ends.gateway.subscribe("alice", wants)
    assert len(answers) == len(ends.demand.held) == len(wants)
    # The whole of it is told again after the connection has been lost.
    await ends.client.stopService()
    ends.client.startService()
    await ends.up()
    await ends.gateway.subscribe("alice", wants[:1])
    assert len(ends.demand.held) == len(wants)
