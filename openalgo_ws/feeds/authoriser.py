"""Authorise steps: once a dial, or once for all connections of an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IReactorTime

from openalgo_ws.adapter import (
    Authorise,
    AuthoriseFailed,
    Cause,
    Environment,
    Feed,
    HttpRequest,
    Scope,
    Verdict,
)
from openalgo_ws.feeds.http import HttpCaller

__all__ = ["Authorised", "Authoriser"]

#: A refusal is taken for the answer to everybody who asks with the same credentials so soon after.
_REFUSAL_HOLDS = 30.0
#: More calls than any broker's login needs: a step that goes on and on is broken.
_MOST_CALLS = 20


@dataclass(frozen=True, eq=False, repr=False)
class Authorised:
    """What an authorise step gave: the credentials that codecs are made with.

    ``fresh``: obtained for the dial that asked; otherwise shared with earlier ones, so that a refusal
    by the broker may only mean that it has aged. Compared by identity. No readable repr.
    """

    credentials: Mapping[str, str]
    fresh: bool


@dataclass(repr=False)
class _Account:
    """One authorise step of session scope: what it gave last. No readable repr."""

    lock: DeferredLock
    given: Mapping[str, str] | None = None
    result: Mapping[str, str] | None = None
    refusal: Verdict | None = None
    refused_at: float = 0.0


class Authoriser:
    """Runs the authorise steps of one account. Shared by all its connections, on all feeds.

    A step of `Scope.DIAL` runs each time. A step of `Scope.SESSION` runs never twice at a time (feeds
    that share the function share the session); what it gave is kept until the broker refuses it or
    the credentials change.
    """

    def __init__(self, *, clock: IReactorTime, http: HttpCaller, environment: Environment) -> None:
        self._clock = clock
        self._http = http
        self._environment = environment
        self._accounts: dict[Authorise, _Account] = {}

    async def authorise(self, feed: Feed, credentials: Mapping[str, str]) -> Authorised:
        """What ``feed`` is to be dialled with; `AuthoriseFailed` with the broker's verdict."""
        if feed.authorise is None:
            return Authorised(credentials, fresh=True)
        if feed.scope is Scope.DIAL:
            return Authorised(await self._run(feed.authorise, credentials), fresh=True)
        account = self._accounts.setdefault(feed.authorise, _Account(DeferredLock()))
        asked_at = self._clock.seconds()
        await account.lock.acquire()
        try:
            return await self._shared(account, feed.authorise, credentials, asked_at)
        finally:
            account.lock.release()

    def refused(self, feed: Feed, authorised: Authorised) -> None:
        """The broker did not accept this: forget it, unless there is a newer one already."""
        account = self._accounts.get(feed.authorise) if feed.authorise is not None else None
        if account is not None and account.result is authorised.credentials:
            account.result = None

    async def _shared(
        self, account: _Account, step: Authorise, credentials: Mapping[str, str], asked_at: float
    ) -> Authorised:
        if account.given == credentials:
            if account.result is not None:
                return Authorised(account.result, fresh=False)
            if account.refusal is not None and self._holds(account, asked_at):
                raise AuthoriseFailed(account.refusal)
        account.given, account.result, account.refusal = dict(credentials), None, None
        try:
            account.result = await self._run(step, credentials)
        except AuthoriseFailed as failed:
            account.refusal, account.refused_at = failed.verdict, self._clock.seconds()
            raise
        return Authorised(account.result, fresh=True)

    def _holds(self, account: _Account, asked_at: float) -> bool:
        # Those who waited while it was refused share the refusal, whatever its cause.
        if account.refused_at >= asked_at:
            return True
        lasting = account.refusal is not None and account.refusal.cause is not Cause.TRANSIENT
        return lasting and self._clock.seconds() < account.refused_at + _REFUSAL_HOLDS

    async def _run(self, step: Authorise, credentials: Mapping[str, str]) -> Mapping[str, str]:
        steps = step(credentials, self._environment)
        try:
            request: HttpRequest = next(steps)
            for _ in range(_MOST_CALLS):
                request = steps.send(await self._http.call(request))
        except StopIteration as end:
            result: Mapping[str, str] = end.value
            return result
        finally:
            steps.close()
        raise AuthoriseFailed(Verdict(Cause.FATAL, f"no end of authorising after {_MOST_CALLS} calls"))
