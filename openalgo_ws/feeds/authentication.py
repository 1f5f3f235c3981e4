"""Authentication: what a connection comes with to its broker, and what follows when that is refused."""

from __future__ import annotations

from collections.abc import Mapping

from openalgo_ws.adapter import AuthoriseFailed, Cause, Feed, Scope, Verdict
from openalgo_ws.feeds.authoriser import Authorised, Authoriser
from openalgo_ws.feeds.credentials import CredentialDesk, Unreadable

__all__ = ["Authentication", "Objection"]


class Objection(Exception):
    """Why there is nothing to dial with, for people; it holds no secret."""


class Authentication:
    """The credentials of one connection on their way to a dial: `choose`, then `authorise`.

    Refused credentials are not chosen again (the ``desk`` remembers them) until others are there. Those are
    taken at once, but only once in a row: then their turn comes when somebody looks again, until a login
    has lasted (`settled`). In the same way a session that may only have aged is made anew before the
    credentials are doubted.
    """

    def __init__(self, feed: Feed, desk: CredentialDesk, authoriser: Authoriser) -> None:
        self._feed = feed
        self._desk = desk
        self._authoriser = authoriser
        self._authorised: Authorised | None = None
        #: Whether a refusal may be followed by one dial at once; again after a login that lasted.
        self._at_once = True

    async def choose(self, given: dict[str, str] | None) -> dict[str, str] | Unreadable:
        """The credentials to dial with: those given, which somebody has just read, or what is there now.

        Raises `Objection` if there are none that may be dialled with.
        """
        credentials = given if given is not None else await self._desk.read()
        if isinstance(credentials, Unreadable):
            return credentials
        objection = self._desk.objection(credentials)
        if objection is None and given is None and self._desk.doubted:
            # Other credentials than those refused: at once, but not again and again.
            if self._at_once:
                self._at_once = False
            else:
                objection = f"{self._desk.refusal}; other credentials are there and will be tried"
        if objection is not None or credentials is None:
            raise Objection(objection or "")
        self._desk.use(credentials)
        return credentials

    async def authorise(self, credentials: Mapping[str, str]) -> Authorised:
        """What to dial with; `AuthoriseFailed` with the broker's verdict."""
        try:
            self._authorised = await self._authoriser.authorise(self._feed, credentials)
        except AuthoriseFailed:
            self._authorised = None
            raise
        return self._authorised

    def refused(self, verdict: Verdict, *, served: bool) -> None:
        """The broker does not accept what we came with; ``served``: it did before, on the same socket."""
        authorised = self._authorised
        renewable = False
        if authorised is not None and verdict.cause is Cause.TOKEN and self._feed.authorise is not None:
            self._authoriser.refused(self._feed, authorised)
            # A session that served before may only have aged: the credentials are not in doubt yet.
            aged = not authorised.fresh or served
            renewable = self._feed.scope is Scope.SESSION and aged and self._at_once
        if renewable:
            self._at_once = False
        else:
            self._desk.refuse(verdict.message)

    def settled(self) -> None:
        """A login has lasted."""
        self._at_once = True
