"""Both ends of a connection with a publisher: libzmq's sockets, peers that are none, and who reads them."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import zmq
from twisted.internet import reactor, tcp
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.portforward import ProxyServer
from twisted.python.failure import Failure

from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.interface import BusPublisher
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.bus.zmtp_link import Publishers
from tests.bus.contract.receiver import HELLO, PATIENCE, Receiver, until
from tests.bus.zmtp.wire import command, item

ANY_PORT = BusEndpoint("tcp://127.0.0.1:*", True)

#: What a publisher says after the greeting: READY with its type.
READY = command(b"READY", item(b"Socket-Type", b"PUB"))


def bound(address: str) -> BusEndpoint:
    """The bus listens there."""
    return BusEndpoint(address, True)


def connected(address: str) -> BusEndpoint:
    """The bus goes there."""
    return BusEndpoint(address, False)


def reading() -> list[tcp.Server]:
    """The connections that were let in, whatever the port or path, and that the reactor reads at present."""
    return [one for one in reactor.getReaders() if isinstance(one, tcp.Server)]


# libzmq's sockets.


class Foreign:
    """Makes sockets of libzmq, as programs outside have them."""

    def __init__(self) -> None:
        self._context = zmq.Context()

    def socket(self, kind: int = zmq.XPUB, **options: int) -> zmq.Socket[bytes]:
        """One that is neither bound nor connected."""
        made = self._context.socket(kind)
        made.linger = 0
        for name, value in options.items():
            made.setsockopt(getattr(zmq, name), value)
        return made

    async def publisher(self, address: str, **options: int) -> zmq.Socket[bytes]:
        """Connected, and asked for everything."""
        made = self.socket(**options)
        made.connect(address)
        await asked(made)
        return made

    def close(self) -> None:
        """Close all of them."""
        self._context.destroy(linger=0)


async def asked(publisher: zmq.Socket[bytes]) -> None:
    """Wait until an XPUB socket has a subscriber."""
    await until(lambda: publisher.poll(0))
    assert publisher.recv() == b"\x01"


async def greeted(publisher: zmq.Socket[bytes], receiver: Receiver) -> None:
    """Publish until something of it arrives: a PUB socket does not tell that it has a subscriber."""
    before = len(receiver.messages)

    def arrived() -> bool:
        publisher.send_multipart([b"hello", b"{}"])
        return len(receiver.messages) > before

    await until(arrived)


async def joined(publisher: BusPublisher, receiver: Receiver) -> None:
    """Wait until the way from a publisher of ours is open, and empty: all it was greeted with has come."""
    number = 0

    def heard() -> bool:
        nonlocal number
        number += 1
        publisher.publish_order("x", HELLO, {"n": number})
        return receiver.greeting > 0

    await until(heard)
    await until(lambda: receiver.greeting == number)


def others(receiver: Receiver) -> list[Message]:
    """What came, without what only says that the way is open."""
    return [message for message in receiver.messages if message[0] != b"hello"]


def has_room(publisher: zmq.Socket[bytes], *frames: bytes) -> bool:
    """Send it if that can be done now; whether it could."""
    try:
        publisher.send_multipart(frames, zmq.NOBLOCK)
    except zmq.Again:
        return False
    return True


async def withdrawn(publisher: zmq.Socket[bytes], address: str) -> None:
    """Close a bound socket so that another may be bound there: libzmq does it in a thread of its own."""
    monitor = publisher.get_monitor_socket(zmq.EVENT_CLOSED)
    publisher.unbind(address)
    await until(lambda: monitor.poll(0))
    publisher.disable_monitor()
    monitor.close(0)
    publisher.close(0)


class Passing(ProxyServer):
    """Notes what passes from the subscriber to the publisher."""

    def __init__(self, said: list[bytes]) -> None:
        self._said = said

    def connectionMade(self) -> None:
        super().connectionMade()
        transport, write = self.transport, self.transport.write

        def noted(data: bytes) -> None:
            self._said.append(data)
            write(data)

        transport.write = noted


# Peers that say what they are told to say.


class Raw(Protocol):
    """Connected to a port, and speaks for itself."""

    transport: Any

    def __init__(self) -> None:
        self.heard = bytearray()
        #: Whether it was hung up on.
        self.ended = False
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def say(self, data: bytes) -> None:
        """What there is no room for waits here."""
        self.transport.write(data)

    def turn_away(self) -> None:
        """Take nothing that it is told."""
        self.transport.pauseProducing()

    def listen(self) -> None:
        """Take it again."""
        self.transport.resumeProducing()

    def hung_up_on(self) -> Deferred[None]:
        """Fires when it is."""
        return self.when(lambda: self.ended)

    def hears(self, data: bytes) -> Deferred[None]:
        """Fires when it has; fails if it is hung up on before."""
        return self.when(lambda: data in self.heard)

    def when(self, condition: Callable[[], bool]) -> Deferred[None]:
        """Fires when what it hears makes that true; fails if it can't any more, or does not for long."""
        found: Deferred[None] = Deferred()
        self._waiting.append((condition, found))
        self._look()
        return found.addTimeout(PATIENCE, reactor)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self._look()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = True
        self._look()

    def _look(self) -> None:
        waiting, self._waiting = self._waiting, []
        for condition, found in waiting:
            if condition():
                found.callback(None)
            elif self.ended:
                found.errback(AssertionError("it was hung up on"))
            else:
                self._waiting.append((condition, found))


#: Connects one.
Connect = Callable[[str], Awaitable[Raw]]


# Who reads them, without a bus.


class Timed(Clock):
    """Sockets are the real reactor's, time is not."""

    listenTCP = staticmethod(reactor.listenTCP)


class Owner:
    """Of publishers, where time stands still."""

    def __init__(self, room: int = 1000) -> None:
        self.clock = Timed()
        self.told = 0
        self.messages: list[Message] = []
        self.room = room
        self.publishers = Publishers(self.clock, self.look)
        self.publishers.attach(ANY_PORT)
        self.address = self.publishers.addresses()[0]

    def look(self) -> None:
        """Take what there is room for."""
        self.told += 1
        self.messages += self.publishers.take(self.room)[0]

    def waits(self) -> int:
        """Publishers that have yet to say what they are."""
        return len(self.clock.getDelayedCalls())


class Full(StringTransport):
    """A connection on which much has come already."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data
        #: Bytes that were read.
        self.read = 0

    def getHandle(self) -> Full:
        return self

    def setTcpKeepAlive(self, enabled: bool) -> None:
        pass

    def recv(self, most: int) -> bytes:
        """As a socket that does not block."""
        data = self._data[self.read : self.read + most]
        if not data:
            raise BlockingIOError
        self.read += len(data)
        return data

    def turn(self) -> bool:
        """What the reactor does in a turn; whether there is more."""
        self.protocol.dataReceived(self.recv(self.bufferSize))
        return self.read < len(self._data)


def link_with(data: bytes) -> tuple[Publishers, Full]:
    """A publisher that has said this; nothing of it was read."""
    memory = MemoryReactorClock()
    publishers = Publishers(memory, lambda: None)
    publishers.attach(bound("tcp://127.0.0.1:5555"))
    transport = Full(data)
    transport.protocol = memory.tcpServers[0][1].buildProtocol(None)
    transport.protocol.makeConnection(transport)
    return publishers, transport


# Addresses.


def has_ipv6() -> bool:
    """Whether this machine has."""
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True
