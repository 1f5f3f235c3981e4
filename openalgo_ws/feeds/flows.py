"""Flows with one owner, so that none outlives it: what `timers` are to calls."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.feeds.reasons import place_of

__all__ = ["Flows"]

_T = TypeVar("_T")


class Flows:
    """Runs coroutines that are not to fail; `clear` ends them all."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._running: set[Deferred[Any]] = set()

    def run(self, flow: Coroutine[Any, Any, _T], otherwise: _T) -> Deferred[_T]:
        """Run a flow. Fires with its result; with ``otherwise`` if it is ended, or breaks (which is
        logged)."""
        running = Deferred.fromCoroutine(flow)
        self._running.add(running)

        def broke(failure: Failure) -> _T:
            if not failure.check(CancelledError):
                self._log.error("a step failed: {place}", place=place_of(failure))
            return otherwise

        def done(result: _T) -> _T:
            self._running.discard(running)
            return result

        return running.addErrback(broke).addCallback(done)

    def clear(self) -> None:
        """End what is under way."""
        for running in list(self._running):
            running.cancel()
