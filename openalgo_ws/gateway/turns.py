"""What clients ask for has a share of each turn of the reactor, however much it is.

A client may subscribe to thousands of instruments, and hundreds may come or leave at once. Each of these is
many small steps: a turn takes as many as fit into its slice, and ticks, pings and newcomers come in
between.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["Turns"]

#: For how long (seconds) all work together may keep the reactor in one turn.
_SLICE = 0.004
#: After how long (seconds) a piece of work lets the others go on.
_SHARE = 0.001


class Turns:
    """Divides work among the turns of the reactor. What has just begun goes on in between of what takes
    long, so that little work is soon done."""

    log = Logger()

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        #: What is left of this turn's slice (seconds).
        self._left = _SLICE
        self._new: deque[Deferred[None]] = deque()
        self._begun: deque[Deferred[None]] = deque()
        self._call: IDelayedCall | None = None
        self._stopped = False

    async def run(self, steps: Iterator[object]) -> None:
        """Take all steps, at once if they fit into this turn. A step is never divided."""
        waiting = self._new or self._begun or self._left <= 0
        if not waiting and self._take(steps):
            return
        line = self._new if waiting else self._begun
        while True:
            turn: Deferred[None] = Deferred()
            line.append(turn)
            await turn
            if self._take(steps):
                return
            line = self._begun

    def begin(self, steps: Iterator[object]) -> None:
        """Take all steps of something that nobody waits for."""
        work = Deferred.fromCoroutine(self.run(steps))
        work.addErrback(lambda failure: self.log.failure("something was left undone", failure))

    def stop(self) -> None:
        """Do all that waits, and from now on everything at once."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        while self._new or self._begun:
            (self._new or self._begun).popleft().callback(None)
        self._left = _SLICE

    def _take(self, steps: Iterator[object]) -> bool:
        """Take steps for a share of time; whether that were all."""
        seconds = self._reactor.seconds
        began = seconds()
        until = float("inf") if self._stopped else began + min(self._left, _SHARE)
        try:
            return all(seconds() < until for _ in steps)
        finally:
            if not self._stopped:
                self._left -= seconds() - began
                if self._call is None:
                    self._call = self._reactor.callLater(0, self._next)

    def _next(self) -> None:
        """A new turn, with a slice of its own."""
        self._call = None
        self._left = _SLICE
        while self._new or self._begun:
            for line in (self._new, self._begun):
                if self._left <= 0:
                    return
                if line:
                    line.popleft().callback(None)
