"""Looks for other credentials: regularly while the present ones are refused, and when somebody says so."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.feeds.credentials import CredentialDesk, Unreadable
from openalgo_ws.feeds.reasons import place_of
from openalgo_ws.feeds.timers import Timers

__all__ = ["CredentialWatch"]


class CredentialWatch:
    """Calls ``renewed(credentials, message)`` when there is something new to dial with.

    While the connection is held back (`hold`, `release`) it looks every ``interval`` seconds, and what may be
    dialled with is new. Otherwise it looks when told to (`look`), and new is whatever differs from what was
    used last, be it None. Told to look while held back, it lets refused credentials be tried once more if
    they have rested for ``interval``.
    """

    def __init__(
        self,
        clock: IReactorTime,
        desk: CredentialDesk,
        *,
        interval: float,
        renewed: Callable[[dict[str, str] | None, str], None],
        log: Logger,
    ) -> None:
        self._desk = desk
        self._interval = interval
        self._renewed = renewed
        self._log = log
        self._timers = Timers(clock)
        self._held = False
        self._stopped = False
        #: The regular look that is under way, and the one that somebody asked for.
        self._regular: Deferred[None] | None = None
        self._asked: Deferred[None] | None = None
        self._asked_again = False

    def hold(self) -> None:
        """The connection is held back from now on."""
        self._held = True
        self._wait()

    def release(self) -> None:
        """It is not held back any more."""
        self._held = False
        self._timers.clear()
        regular, self._regular = self._regular, None
        if regular is not None:
            regular.cancel()

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        self.release()
        if self._asked is not None:
            self._asked.cancel()

    def look(self) -> None:
        """The credentials may have changed. Asked while such a look is under way, it looks once more."""
        if self._asked is not None:
            self._asked_again = True
            return
        self._asked = Deferred.fromCoroutine(self._look_as_asked())
        self._asked.addErrback(self._broke).addBoth(self._done)

    async def _look_as_asked(self) -> None:
        again = True
        while again and not self._stopped:
            self._asked_again = False
            credentials = await self._desk.read()
            if not isinstance(credentials, Unreadable) and self._is_news(credentials):
                self._renewed(credentials, "the credentials have changed")
            again = self._asked_again

    def _is_news(self, credentials: dict[str, str] | None) -> bool:
        if not self._held:
            return not self._stopped and credentials != self._desk.used
        return self._desk.objection(credentials) is None or self._desk.forgive(credentials, self._interval)

    def _done(self, _: object) -> None:
        self._asked = None

    # While the connection is held back.

    def _wait(self) -> None:
        self._timers.set("look", self._interval, self._look_again)

    def _look_again(self) -> None:
        regular = Deferred.fromCoroutine(self._look_regularly()).addErrback(self._broke_regularly)
        if not regular.called:
            self._regular = regular

    async def _look_regularly(self) -> None:
        credentials = await self._desk.read()
        self._regular = None
        if not self._held:
            return
        if isinstance(credentials, Unreadable) or self._desk.objection(credentials) is not None:
            self._wait()
        else:
            self._renewed(credentials, "there are other credentials")

    def _broke_regularly(self, failure: Failure) -> None:
        self._broke(failure)
        if self._held and not self._timers.running("look"):
            self._wait()

    def _broke(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self._log.error("a look at the credentials failed: {place}", place=place_of(failure))
