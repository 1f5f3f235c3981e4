"""Many newcomers at once."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest_twisted
from autobahn.twisted.websocket import WebSocketServerProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater

from openalgo_ws.gateway.doorway import Doorway
from openalgo_ws.gateway.listen import endpoint

ESTABLISHED = 1


class Transport:
    def __init__(self) -> None:
        self.reads = True

    def pauseProducing(self) -> None:
        self.reads = False

    def resumeProducing(self) -> None:
        self.reads = True


def test_a_few_at_a_time_and_in_their_order() -> None:
    clock = Clock()
    doorway = Doorway(clock)
    newcomers = [Transport() for _ in range(11)]
    for one in newcomers:
        doorway.enter(one)
    let_in = []
    while clock.getDelayedCalls():
        let_in.append([one.reads for one in newcomers].index(False))
        clock.calls.pop(0).func()
        if all(one.reads for one in newcomers):
            break
    assert let_in == [4, 8]
    clock.advance(0)
    assert clock.getDelayedCalls() == []
    late = Transport()
    doorway.enter(late)
    assert late.reads
    doorway.stop()
    assert clock.getDelayedCalls() == []


def test_nobody_who_comes_overtakes_those_who_wait() -> None:
    clock = Clock()
    doorway = Doorway(clock)
    newcomers = [Transport() for _ in range(6)]
    for one in newcomers:
        doorway.enter(one)
    clock.calls.pop(0).func()
    assert all(one.reads for one in newcomers)
    doorway.stop()


@pytest_twisted.ensureDeferred
async def test_there_is_room_for_all_who_come_before_the_first_is_accepted() -> None:
    port = await endpoint(reactor, "tcp:0:interface=127.0.0.1").listen(Factory.forProtocol(Protocol))
    clients = []
    try:
        # The reactor does not run here: nobody is accepted.
        for _ in range(120):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port.getHost().port))
            clients.append(client)
        states = [one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] for one in clients]
        assert states == [ESTABLISHED] * 120
    finally:
        for client in clients:
            client.close()
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_port_accepts_a_few_a_turn(serve) -> None:
    server = serve()
    clients = []
    try:
        # The reactor does not run here: nobody is accepted.
        for _ in range(60):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
            clients.append(client)
        there = [server.gateway.factory.countConnections]
        while there[-1] < 60:
            await deferLater(reactor, 0)
            there.append(server.gateway.factory.countConnections)
        assert max(later - earlier for earlier, later in pairwise(there)) == 8
    finally:
        for client in clients:
            client.close()


@pytest_twisted.ensureDeferred
async def test_a_client_has_autobahns_options_without_their_list_being_formatted(
    server, dial, monkeypatch
) -> None:
    formatted: list[object] = []
    monkeypatch.setattr("autobahn.websocket.protocol.pformat", formatted.append)
    await dial(server)
    (client,) = server.gateway.factory.clients
    options = WebSocketServerProtocol.CONFIG_ATTRS
    assert len(options) > 10
    for option in options:
        assert getattr(client, option) == getattr(server.gateway.factory, option), option
    # The other side of this connection is Autobahn's as well, and has its list formatted.
    assert [] in formatted
    assert client.transport.getHandle().getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@pytest_twisted.ensureDeferred
async def test_many_at_once_are_all_served(server, dial) -> None:
    clients = await gatherResults([Deferred.fromCoroutine(dial(server)) for _ in range(60)])
    answers = [await client.ask(action="ping") for client in clients]
    assert {answer["type"] for answer in answers} == {"pong"}
