"""Real sockets and a clock that a test moves: hours of a connection's life in a second.

Everything runs in one process on loopback, where the kernel has delivered before the next turn of the
reactor. So between two timers the sockets get a few turns, and then the clock goes on to the next.
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
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

__all__ = ["Clockwork"]

#: Turns of the reactor between two timers: the flush, the way to the peer, its answer, the way back.
_TURNS = 4


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
    """A reactor whose timers run on ``clock``; everything else is the real reactor's.

    Every host name is 127.0.0.1: nothing else can be reached.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.clock = Clock()
        self.nameResolver = _Literals()
        self.seconds = self.clock.seconds
        self.callLater = self.clock.callLater
        self.getDelayedCalls = self.clock.getDelayedCalls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    async def settle(self) -> None:
        """Let what is due now happen, and the sockets carry what was said."""
        for _ in range(_TURNS):
            self.clock.advance(0)
            await deferLater(self._reactor, 0)
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
        self.clock.advance(max(0.0, min(due, limit) - self.seconds()))
