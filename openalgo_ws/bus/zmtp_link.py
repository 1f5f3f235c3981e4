"""Connections with publishers: ZeroMQ read by the reactor itself, without libzmq's thread in between.

libzmq reads in a thread of its own, which costs a tick as much as the gateway's thread then needs to take it,
and two changes of threads where ticks come one by one. Here the reactor reads all there is, since a publisher
whose queue is full drops the newest in silence, and looks at as much of it in a turn as may be handed on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, ReconnectingClientFactory, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from openalgo_ws.bus.intake import BATCH, Message
from openalgo_ws.bus.timer import Timer
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.bus.zmtp import GREETING, PublisherStream, ZmtpError
from openalgo_ws.bus.zmtp_address import BusAddressError, host_and_port, make_way, socket_path, written

__all__ = ["Publishers"]

#: Bytes that are read at a time, and how often in a turn at most.
_READ = 1 << 15
_READS = 64

#: Bytes that are looked at in a turn. What is made of them should be in the processor's cache until it
#: leaves: half as much makes S2 dearer, because all clients are written to each time, and no bound but that
#: of messages makes S4 dearer, whose books are a kilobyte each.
_TURN = 5 * _READ

#: Where the gateway is behind, it is to find out what it need not hand on.
_TURN_BEHIND = 64 * _READ

#: Bytes of one publisher that may wait (40,000 quotes); more is left to the kernel. And what each thing that
#: waits counts besides.
_MOST_WAITING = 1 << 24
_OVERHEAD = 100

#: Seconds that a publisher has to say what it is.
_PATIENCE = 30.0

#: Publishers that may wait to be let in.
_BACKLOG = 100


class Publishers:
    """The publishers at some addresses. ``ready`` is called when something of theirs has come, for `take`."""

    log = Logger()

    def __init__(self, reactor: Any, ready: Callable[[], None]) -> None:
        self.reactor = reactor
        #: Messages that did not have two frames.
        self.malformed = 0
        self._ready = ready
        self._links: set[_Link] = set()
        self._ports: list[Any] = []
        self._diallers: list[tuple[_Dialler, Any]] = []
        #: Those of which something waits, the next one first. They may be gone by now.
        self._waiting: deque[_Link] = deque()
        #: Publishers that were hung up on, and when the log was told of the last.
        self._refused = 0
        self._complained = float("-inf")

    def attach(self, endpoint: BusEndpoint) -> None:
        """Bind, or connect and go on trying. BusAddressError."""
        scheme, _, rest = endpoint.address.partition("://")
        try:
            if scheme == "ipc" and rest:
                self._attach_path(rest, endpoint.bind)
            elif scheme == "tcp":
                self._attach_port(*host_and_port(endpoint), endpoint.bind)
            else:
                raise BusAddressError(f"the bus can't have {endpoint.address}: neither tcp:// nor ipc://")
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            raise BusAddressError(f"the bus can't have {endpoint.address}: {reason}") from error

    def _attach_path(self, name: str, bind: bool) -> None:
        path = socket_path(name)
        if bind:
            make_way(path)
            listener = _Listener(self)
            self._ports.append(self.reactor.listenUNIX(path, listener, backlog=_BACKLOG, mode=0o600))
        else:
            dialler = _Dialler(self)
            self._diallers.append((dialler, self.reactor.connectUNIX(path, dialler)))

    def _attach_port(self, host: str, port: int, bind: bool) -> None:
        if bind:
            listener = _Listener(self, keep_alive=True)
            self._ports.append(self.reactor.listenTCP(port, listener, backlog=_BACKLOG, interface=host))
        else:
            dialler = _Dialler(self, keep_alive=True)
            self._diallers.append((dialler, self.reactor.connectTCP(host, port, dialler)))

    def addresses(self) -> list[str]:
        """Those bound, with their real ports."""
        return [written(port.getHost()) for port in self._ports]

    @property
    def waits(self) -> bool:
        """Whether something has come that has not been looked at."""
        return bool(self._waiting)

    def take(self, most: int) -> tuple[list[Message], bool]:
        """About so many messages at most, of all publishers by turns, each one's in order; and whether more
        wait."""
        found: list[Message] = []
        waiting = self._waiting
        left = _TURN if most <= BATCH else _TURN_BEHIND
        read = 0
        while waiting and left > 0 and len(found) + read < most:
            link = waiting.popleft()
            before = len(found)
            left -= link.give(found)
            read = len(found) - before
            if link.waits:
                waiting.append(link)
        return found, bool(waiting)

    def unread(self) -> int:
        """Bytes that publishers have sent and that have not been looked at, with what each packet counts
        besides."""
        return sum(link.size for link in {*self._links, *self._waiting})

    def close(self) -> Deferred[Any]:
        """Hang up and listen no more; fires when the ports are free."""
        for dialler, connector in self._diallers:
            dialler.stopTrying()  # type: ignore[no-untyped-call]
            connector.disconnect()
        closing = [maybeDeferred(port.stopListening) for port in self._ports]
        for link in list(self._links):
            link.abort()
        self._diallers, self._ports = [], []
        self._waiting.clear()
        # A path may be gone already, with the folder that it was in.
        return DeferredList(closing, consumeErrors=True)

    # From links.

    def joined(self, link: _Link) -> None:
        """A publisher is there."""
        self._links.add(link)

    def left(self, link: _Link) -> None:
        """It is gone; what it has said is not."""
        self._links.discard(link)

    def came(self, link: _Link) -> None:
        """Something of a link waits, of which nothing did."""
        self._waiting.append(link)
        self._ready()

    def refused(self, peer: object, error: ZmtpError) -> None:
        """A link was of no use. Logged at most once a second."""
        self._refused += 1
        now = self.reactor.seconds()
        if now - self._complained >= 1.0:
            self._complained = now
            self.log.warn(
                "hung up on a publisher at {peer}: {error} ({count} in all)",
                peer=peer,
                error=error,
                count=self._refused,
            )


@implementer(IPushProducer)
class _Link(Protocol):
    """A connection with a publisher, or with one who should be. Who takes no answers is not read either.

    ``reached`` is called when it turns out to be one.
    """

    transport: Any

    def __init__(self, owner: Publishers, keep_alive: bool, reached: Callable[[], None]) -> None:
        self._owner = owner
        self._keep_alive = keep_alive
        self._reached = reached
        self._unknown = True
        self._stream = PublisherStream(self._say)
        self._patience = Timer(owner.reactor, self._too_late)
        #: What was read, the oldest first, and what that counts.
        self._chunks: deque[bytes] = deque()
        self.size = 0
        #: So much waits here that nothing is read.
        self._full = False
        #: What it was told still waits for it.
        self._choked = False

    @property
    def waits(self) -> bool:
        """Whether something was read that has not been looked at."""
        return bool(self._chunks)

    def connectionMade(self) -> None:
        """Greet."""
        transport = self.transport
        transport.bufferSize = _READ
        if self._keep_alive:
            # A machine that is gone does not hang up.
            transport.setTcpKeepAlive(True)
        self._patience.start(_PATIENCE)
        self._owner.joined(self)
        transport.registerProducer(self, True)
        transport.write(GREETING)

    def dataReceived(self, data: bytes) -> None:
        """Read on while there is more: the reactor gives a connection one read a turn."""
        chunks = self._chunks
        first = not chunks
        receive = self.transport.getHandle().recv
        reads = _READS
        while True:
            chunks.append(data)
            self.size += len(data) + _OVERHEAD
            reads -= 1
            if len(data) < _READ or self.size >= _MOST_WAITING or not reads:
                break
            try:
                data = receive(_READ)
            except OSError:
                # There is nothing more now, or it has failed, which the transport will find by itself.
                break
            if not data:
                # The transport will find the end by itself, too.
                break
        if self.size >= _MOST_WAITING:
            self._full = True
            self.transport.pauseProducing()
        if first:
            self._owner.came(self)

    def give(self, found: list[Message]) -> int:
        """Append the messages that end in what has waited longest; how many bytes that is."""
        stream, owner = self._stream, self._owner
        data = self._chunks.popleft()
        self.size -= len(data) + _OVERHEAD
        malformed = stream.malformed
        found += stream.receive(data)
        owner.malformed += stream.malformed - malformed
        if stream.failed is not None:
            self._chunks.clear()
            owner.refused(self.transport.getPeer(), stream.failed)
            self.transport.abortConnection()
        elif self._unknown and stream.subscribed:
            self._unknown = False
            self._patience.stop()
            self._reached()
        if self._full and self.size < _MOST_WAITING // 2:
            self._full = False
            self._go_on()
        return len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget it, but not what it has said."""
        self._patience.stop()
        self._owner.left(self)

    def abort(self) -> None:
        """Hang up."""
        self.transport.abortConnection()

    def pauseProducing(self) -> None:
        """From the transport: much waits to be sent."""
        self._choked = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """From the transport: it is sent."""
        self._choked = False
        self._go_on()

    def stopProducing(self) -> None:
        """From the transport: the connection is going away."""

    def _go_on(self) -> None:
        if not (self._full or self._choked):
            self.transport.resumeProducing()

    def _say(self, data: bytes) -> None:
        self.transport.write(data)

    def _too_late(self) -> None:
        if self._chunks:
            # What it has said has not been looked at.
            self._patience.start(_PATIENCE)
            return
        self._owner.refused(self.transport.getPeer(), ZmtpError(f"no greeting within {_PATIENCE:g} s"))
        self.abort()


class _Listener(ServerFactory[_Link]):
    """Lets publishers in."""

    noisy = False

    def __init__(self, owner: Publishers, keep_alive: bool = False) -> None:
        self._owner = owner
        self._keep_alive = keep_alive

    def buildProtocol(self, addr: Any) -> _Link:
        """A link for a publisher that has come."""
        return _Link(self._owner, self._keep_alive, lambda: None)


class _Dialler(ReconnectingClientFactory):
    """Keeps up the connection with a publisher that is bound. Who is there and is none is sought ever more
    slowly, as is who is not there."""

    noisy = False
    initialDelay = 0.1
    factor = 2.0
    maxDelay = 1

    def __init__(self, owner: Publishers, keep_alive: bool = False) -> None:
        self._owner = owner
        self._keep_alive = keep_alive
        self.clock = owner.reactor

    def buildProtocol(self, addr: Any) -> _Link:
        """A link for a publisher that was reached."""
        return _Link(self._owner, self._keep_alive, self.resetDelay)
