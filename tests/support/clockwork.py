"""Real sockets and a clock that a test moves: hours of a connection's life in a second.

Both ends of every socket are in this process, so it is known what is still on its way: the clock only goes
on to the next timer when nothing is. However slow the machine, the clock shows the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorCore,
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IResolutionReceiver,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Clockwork"]

#: Turns of the reactor without anything on its way before the clock goes on.
_QUIET_TURNS = 2
#: A bound, should it never become quiet (a peer that doesn't read).
_MOST_TURNS = 200

#: Seconds.
_LEAST_STEP = 1e-6


class _Wire:
    """One TCP connection: how many of its ends are there and gone, and the bytes that went in and out."""

    def __init__(self) -> None:
        self.made = self.lost = self.written = self.read = 0

    @property
    def quiet(self) -> bool:
        """Nothing is on its way, neither bytes nor the beginning or the end."""
        return self.made == 2 and self.lost == 0 and self.written == self.read


class _Wires:
    """All connections, by the ports of their ends."""

    def __init__(self) -> None:
        self.dialling = 0
        self._wires: dict[frozenset[int], _Wire] = {}

    @property
    def quiet(self) -> bool:
        return self.dialling == 0 and all(wire.quiet for wire in self._wires.values())

    def wire(self, one: int, other: int) -> _Wire:
        return self._wires.setdefault(frozenset((one, other)), _Wire())

    def lost(self, wire: _Wire) -> None:
        wire.lost += 1
        if wire.lost == 2:
            self._wires = {ports: other for ports, other in self._wires.items() if other is not wire}


class _End(ProtocolWrapper):
    """One end of a connection; it counts, and hands everything on."""

    factory: _Counting

    def makeConnection(self, transport: Any) -> None:
        self._wire = self.factory.wires.wire(transport.getHost().port, transport.getPeer().port)
        self._wire.made += 1
        self.factory.wires.dialling -= self.factory.dials
        super().makeConnection(transport)

    def write(self, data: bytes) -> None:
        self._wire.written += len(data)
        super().write(data)

    def writeSequence(self, data: Any) -> None:
        self.write(b"".join(data))

    def dataReceived(self, data: bytes) -> None:
        self._wire.read += len(data)
        super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.wires.lost(self._wire)
        super().connectionLost(reason)


class _Counting(WrappingFactory):
    """Puts an `_End` before every protocol of a factory."""

    protocol = _End
    noisy = False

    def __init__(self, factory: Factory, wires: _Wires, dials: bool) -> None:
        super().__init__(factory)
        self.wires = wires
        #: Whether it makes the end that dials.
        self.dials = dials
        wires.dialling += dials

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.wires.dialling -= 1
        super().clientConnectionFailed(connector, reason)


@implementer(IHostResolution)
class _Literal:
    """Addresses are given as such. (The reactor's own resolver would use a thread, in real time.)"""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """It is over before anybody could."""


@implementer(IHostnameResolver)
class _Literals:
    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        resolution = _Literal(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        resolutionReceiver.addressResolved(IPv4Address("TCP", "127.0.0.1", portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


@implementer(IReactorTime, IReactorTCP, IReactorCore, IReactorPluggableNameResolver)
class Clockwork:
    """A reactor whose timers run on ``clock``, and whose sockets are counted; the rest is the real one's.

    Every host name is 127.0.0.1: nothing else can be reached.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._wires = _Wires()
        self.clock = Clock()
        self.nameResolver = _Literals()
        self.seconds = self.clock.seconds
        self.callLater = self.clock.callLater
        self.getDelayedCalls = self.clock.getDelayedCalls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(self, host: str, port: int, factory: Any, *rest: Any, **options: Any) -> Any:
        counting = _Counting(factory, self._wires, dials=True)
        return self._reactor.connectTCP(host, port, counting, *rest, **options)

    def listenTCP(self, port: int, factory: Any, *rest: Any, **options: Any) -> Any:
        counting = _Counting(factory, self._wires, dials=False)
        return self._reactor.listenTCP(port, counting, *rest, **options)

    def listenSSL(self, port: int, factory: Any, tls: Any, *rest: Any, **options: Any) -> Any:
        # What is counted is what is on the wire.
        return self.listenTCP(port, TLSMemoryBIOFactory(tls, False, factory), *rest, **options)

    async def settle(self) -> None:
        """Let what is due now happen, and everything that is on its way arrive."""
        quiet = 0
        for _ in range(_MOST_TURNS):
            self.clock.advance(0)
            await deferLater(self._reactor, 0)
            quiet = quiet + 1 if self._wires.quiet else 0
            if quiet == _QUIET_TURNS:
                break
        self.clock.advance(0)

    async def until(self, condition: Callable[[], Any], limit: float, what: str = "") -> float:
        """Let time pass until the condition is true; how many seconds that took.

        AssertionError if it isn't within ``limit`` seconds of the clock.
        """
        began = self.seconds()
        while True:
            await self.settle()
            took = self.seconds() - began
            if condition():
                return took
            assert took < limit, f"not within {limit:g} s: {what or condition}"
            self._forward(began + limit)

    async def run(self, seconds: float) -> None:
        """Let so much time pass."""
        end = self.seconds() + seconds
        while self.seconds() < end:
            await self.settle()
            self._forward(end)
        await self.settle()

    def _forward(self, limit: float) -> None:
        """To the next timer, but no further than ``limit``."""
        due = min((call.getTime() for call in self.clock.getDelayedCalls()), default=limit)
        # A step that is lost in rounding would be no step, for ever.
        self.clock.advance(max(_LEAST_STEP, min(due, limit) - self.seconds()))
