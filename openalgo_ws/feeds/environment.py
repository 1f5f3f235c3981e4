"""The real world as codecs and calendars see it, and a reactor clock that can't jump."""

from __future__ import annotations

import os
import time
from typing import Any

__all__ = ["SystemEnvironment", "make_steady", "uniform"]

from openalgo_ws.adapter import Environment


class SystemEnvironment:
    """`openalgo_ws.adapter.Environment` from the operating system.

    ``now`` is the wall clock, which may jump: codecs stamp frames with it and the calendar of
    sessions asks it, but no timer depends on it.
    """

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def random(self, n: int) -> bytes:
        """``n`` random bytes, fit for nonces."""
        return os.urandom(n)


def make_steady(reactor: Any) -> None:
    """Let a reactor's timers run on the monotonic clock. To be called before any timer is set.

    Twisted's reactors take the wall clock: when it is set forward every timer fires at once, when
    it is set back nothing fires until it has caught up. RuntimeError if timers are set already.
    """
    if reactor.getDelayedCalls():
        raise RuntimeError("the reactor has timers already: its clock can't be changed any more")
    reactor.seconds = time.monotonic


def uniform(environment: Environment, upper: float) -> float:
    """A random number, evenly spread over [0, upper)."""
    return upper * int.from_bytes(environment.random(7), "big") / (1 << 56)
