"""Leadership by a lease: of several processes one leads at a time, another when it is gone.

A lease is a mark in a store that all of them share, which vanishes when it has not been renewed for its
time to live. Whoever leads counts it as lost somewhat earlier than the store does, and from when it *asked*
for the renewal, so that it has ceased to lead before another begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

__all__ = ["Lease", "LeaseStore", "LeaseStoreAway"]

#: The share of the time to live for which the leader counts on what it was granted.
_TRUSTED = 0.8
#: How often the store is asked in a time to live.
_ASKED = 3


class LeaseStoreAway(Exception):
    """The store can't be asked. The message holds no secret."""


class LeaseStore(Protocol):
    """Where the lease is."""

    def take(self) -> Deferred[int | None]:
        """Take the lease, or renew it; a number that is larger each time, whoever takes it. None: somebody
        else has it. Fails with `LeaseStoreAway`."""

    def give_back(self) -> Deferred[None]:
        """Let others have it at once, if it is ours. Fails with `LeaseStoreAway`."""


class Lease:
    """Asks for the lease from `start` to `stop`, and calls ``gained`` and ``lost`` in turns.

    ``ttl`` is the store's time to live (seconds).
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        store: LeaseStore,
        *,
        ttl: float,
        gained: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._store = store
        self._ttl = ttl
        self._gained = gained
        self._lost = lost
        self._end: IDelayedCall | None = None
        self._term = 0
        self._complained = False
        self._asking = LoopingCall(self._ask)
        self._asking.clock = clock

    @property
    def held(self) -> bool:
        """Whether this process leads."""
        return self._end is not None

    @property
    def term(self) -> int:
        """The number of the time for which this process leads, or led last: whoever leads after it has a
        larger one, as long as the store keeps count."""
        return self._term

    @property
    def asking(self) -> bool:
        """Whether this process asks for it."""
        return self._asking.running

    def start(self) -> None:
        """Begin to ask for it."""
        self._asking.start(self._ttl / _ASKED)

    def stop(self) -> Deferred[None]:
        """Ask no more, and let another process have it. ``lost`` has been called when this returns."""
        if self._asking.running:
            self._asking.stop()
        held = self.held
        self._lose()
        giving = maybeDeferred(self._store.give_back) if held else maybeDeferred(lambda: None)
        return giving.addErrback(lambda failure: self._away(failure))

    def _ask(self) -> Deferred[None]:
        asked = self._clock.seconds()
        # The next question waits for the answer.
        return self._store.take().addCallbacks(self._answered, self._away, callbackArgs=(asked,))

    def _answered(self, number: int | None, asked: float) -> None:
        self._complained = False
        rest = asked + self._ttl * _TRUSTED - self._clock.seconds()
        if number is None:
            self._lose()
        elif rest > 0 and self._asking.running:
            led = self.held
            if self._end is not None:
                self._end.cancel()
            self._end = self._clock.callLater(rest, self._expire)
            if not led:
                self._term = number
                self._gained()

    def _away(self, failure: Failure) -> None:
        if not failure.check(LeaseStoreAway):
            self.log.failure("asking for the lease failed", failure)
        elif not self._complained:
            self._complained = True
            self.log.warn("the lease can't be asked for: {why}", why=failure.getErrorMessage())

    def _expire(self) -> None:
        self.log.warn("the lease could not be renewed in time")
        self._end = None
        self._lost()

    def _lose(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
            self._lost()
