"""The credentials of a connection: read afresh, and remembered if they were refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.adapter import Adapter
from openalgo_ws.feeds.reasons import place_of

__all__ = ["CredentialDesk", "ReadCredentials", "Unreadable"]

#: Reads an account's credentials from the store, bypassing every cache; None = there are none.
#: Called before every dial, and every 30 s while the broker refuses those that are there.
ReadCredentials = Callable[[], Awaitable[Mapping[str, str] | None]]


class Unreadable:
    """The credentials could not be read."""


class CredentialDesk:
    """Reads credentials and knows which may not be dialled with.

    ``used`` are those of the present or last dial. Nothing here is ever logged or shown.
    """

    def __init__(
        self, clock: IReactorTime, adapter: Adapter, read: ReadCredentials, timeout: float, log: Logger
    ) -> None:
        self._clock = clock
        self._adapter = adapter
        self._read = read
        self._timeout = timeout
        self._log = log
        self.used: dict[str, str] | None = None
        self._used_at = float("-inf")
        self._refused: dict[str, str] | None = None
        #: Why the broker refused them.
        self.refusal = ""

    async def read(self) -> dict[str, str] | Unreadable | None:
        """What the store holds now. Never fails, except when it is cancelled."""

        async def read() -> dict[str, str] | None:
            credentials = await self._read()
            return None if credentials is None else dict(credentials)

        def failed(failure: Failure) -> Unreadable:
            if isinstance(failure.value, CancelledError):
                failure.raiseException()
            self._log.error("reading the credentials failed: {place}", place=place_of(failure))
            return Unreadable()

        reading: Deferred[dict[str, str] | None] = Deferred.fromCoroutine(read())
        reading.addTimeout(self._timeout, self._clock)
        return await reading.addErrback(failed)

    def objection(self, credentials: dict[str, str] | None) -> str | None:
        """Why these are not dialled with; None = they may be."""
        if credentials is None:
            return "there is no session: a login is needed"
        missing = self._adapter.missing(credentials)
        if missing:
            return f"the session is incomplete: {', '.join(missing)}"
        if credentials == self._refused:
            return self.refusal
        return None

    @property
    def doubted(self) -> bool:
        """Whether the last dial's were refused (and not forgiven)."""
        return self._refused is not None

    def use(self, credentials: dict[str, str]) -> None:
        """A dial is made with these."""
        self._refused, self.used = None, credentials
        self._used_at = self._clock.seconds()

    def refuse(self, why: str) -> None:
        """The broker refused those last used."""
        self._refused, self.refusal = self.used, why

    def forgive(self, credentials: dict[str, str] | None, rest: float) -> bool:
        """Let these be tried once more, if they are the refused ones and it is ``rest`` seconds since they
        were used. Whether they may."""
        refused = credentials is not None and credentials == self._refused
        if not refused or self._clock.seconds() - self._used_at < rest:
            return False
        self._refused = None
        return True
