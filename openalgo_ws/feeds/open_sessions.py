"""The sessions that are open, one for each account, and those that are still being closed."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from openalgo_ws.bus.demand import Denied
from openalgo_ws.feeds.opening import Login, Opener
from openalgo_ws.feeds.report import Ledger
from openalgo_ws.feeds.session import Session

__all__ = ["OpenSessions"]


class OpenSessions:
    """Opens, replaces and closes sessions; what they counted is kept.

    ``opened(session)`` is told of each one from when it is its account's, while an earlier one of the account
    is still running. Iterating gives those that are open, and bears changes meanwhile.
    """

    def __init__(self, opener: Opener, opened: Callable[[Session], None]) -> None:
        self._opener = opener
        self._opened = opened
        self._sessions: dict[str, Session] = {}
        #: Sessions that have been told to stop → when they have.
        self._ending: dict[Session, Deferred[None]] = {}
        self._ledger = Ledger()

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def get(self, account: str) -> Session | None:
        """The account's session, if it is open."""
        return self._sessions.get(account)

    async def open(self, account: str) -> Session | Denied:
        """The account's session, opened if need be."""
        session = self._sessions.get(account)
        if session is not None:
            return session
        opened = await self._opener.open(account)
        if isinstance(opened, Denied):
            return opened
        # Whoever waited for the same one has taken it in already, perhaps.
        if account not in self._sessions:
            self._take_in(opened)
        return self._sessions[account]

    async def replace(self, old: Session, login: Login) -> bool:
        """Put a session with another login in the place of an open one.

        False if that one was not open any more when the new one was made: then nothing has been done.
        """
        successor = await self._opener.session(old.account, login)
        if self._sessions.get(old.account) is not old:
            return False
        self._take_in(successor)
        return True

    def close_all_but(self, wanted: Container[str]) -> None:
        """Close the sessions of all accounts but these."""
        for account in list(self._sessions):
            if account not in wanted:
                self._stop(self._sessions.pop(account))

    def stop(self) -> Deferred[Any]:
        """Close everything; fires when the last socket is gone."""
        self.close_all_but(())
        return DeferredList(list(self._ending.values()))

    @property
    def ledger(self) -> Ledger:
        """What connections have counted since the start, those that are gone included."""
        return self._ledger.with_sessions([*self._sessions.values(), *self._ending])

    def _take_in(self, session: Session) -> None:
        old = self._sessions.get(session.account)
        self._sessions[session.account] = session
        self._opened(session)
        if old is not None:
            self._stop(old)

    def _stop(self, session: Session) -> None:
        stopping = self._ending[session] = session.stop()
        stopping.addCallback(self._ended, session)

    def _ended(self, result: None, session: Session) -> None:
        del self._ending[session]
        self._ledger.close(session)
