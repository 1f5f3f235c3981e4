"""Newcomers come in a few at a time.

A handshake takes a millisecond or more, over TLS several. When a server comes back all its clients
connect at once, and the reactor would do all their handshakes in one turn, while everybody else's ticks
wait. So a new connection is not read from until its turn has come. Accepting one costs half a millisecond
as well, and Twisted accepts a hundred in a turn and more: the ports are told to take a few, the others wait
in the kernel's queue.
"""

from __future__ import annotations

from collections import deque
from typing import Any
from weakref import WeakSet

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["Doorway"]

#: Connections that are let in in one turn of the reactor.
_AT_ONCE = 4

#: Connections that a port accepts in one turn.
_ACCEPTED = 8


class Doorway:
    """The queue of connections that wait to be read from. As long as the list of connections itself."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._waiting: deque[Any] = deque()
        self._let_in = 0
        self._call: IDelayedCall | None = None
        self._ports: WeakSet[Any] = WeakSet()

    def watch(self, port: Any) -> None:
        """Have a listening port accept a few connections a turn, for as long as there is that port."""
        self._ports.add(port)
        port.numberAccepts = _ACCEPTED

    def enter(self, transport: Any) -> None:
        """A connection is there, whose transport can be paused: it is read from at once, or after those
        that came before it."""
        if self._call is None:
            self._let_in = 0
            self._call = self._reactor.callLater(0, self._next)
        if self._let_in < _AT_ONCE and not self._waiting:
            self._let_in += 1
            return
        transport.pauseProducing()
        self._waiting.append(transport)

    def _next(self) -> None:
        self._call = None
        for port in self._ports:
            # It takes more after each turn in which it had as many as it was told.
            port.numberAccepts = _ACCEPTED
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            # One that is gone meanwhile takes no harm.
            self._waiting.popleft().resumeProducing()
        if self._waiting:
            self._let_in = _AT_ONCE
            self._call = self._reactor.callLater(0, self._next)

    def stop(self) -> None:
        """End the timer; who waits is closed by others."""
        self._waiting.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None
