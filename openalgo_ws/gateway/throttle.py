"""One clock for all throttled channels.

Due times are put into slots of a millisecond; one delayed call waits for the earliest slot. What
it costs depends on the channels that fire, not on how many wait.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import ceil
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["ThrottleClock", "Timed"]

_SLOT = 0.001


class Timed(Protocol):
    """Something that is due at some time."""

    def fire(self, now: float) -> None:
        """It is time. ``now`` is in the reactor's seconds."""


class ThrottleClock:
    """Fires things when they are due, never early, at most a millisecond and a turn late."""

    def __init__(self, reactor: IReactorTime, after: Callable[[], None]) -> None:
        """``after`` is called once after everything due at one time has fired."""
        self._reactor = reactor
        self._after = after
        self._slots: dict[int, list[Timed]] = {}
        self._order: list[int] = []
        self._call: IDelayedCall | None = None

    def schedule(self, thing: Timed, due: float) -> None:
        """Fire ``thing`` at ``due`` (the reactor's seconds). Scheduling twice fires twice."""
        number = ceil(due / _SLOT)
        slot = self._slots.get(number)
        if slot is not None:
            slot.append(thing)
            return
        self._slots[number] = [thing]
        heapq.heappush(self._order, number)
        if self._order[0] == number:
            self._arm()

    def waiting(self) -> int:
        """How many things are due at some time."""
        return sum(map(len, self._slots.values()))

    def stop(self) -> None:
        """Forget everything."""
        self._slots.clear()
        self._order.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _arm(self) -> None:
        delay = max(0.0, self._order[0] * _SLOT - self._reactor.seconds())
        if self._call is None:
            self._call = self._reactor.callLater(delay, self._run)
        else:
            self._call.reset(delay)

    def _run(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        # By floating point a timer may come a hair (a microsecond here) before its slot.
        limit = now / _SLOT + 0.001
        order = self._order
        due: list[Timed] = []
        while order and order[0] <= limit:
            due += self._slots.pop(heapq.heappop(order))
        # Only then: who is fired that hair early may ask for the same slot again, for the next timer.
        for thing in due:
            thing.fire(now)
        if order:
            self._arm()
        self._after()
