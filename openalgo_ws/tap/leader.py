"""The side of the feeds in one of several processes, while it is this one that serves."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from openalgo_ws.bus.nats import NatsBus
from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.process import stop_reactor
from openalgo_ws.scale.lease import Lease, LeaseStore
from openalgo_ws.scale.nats_demand import NatsDemandServer
from openalgo_ws.scale.server import Bounds, DemandServer
from openalgo_ws.tap.feeds import FeedSide

__all__ = ["Leader"]

#: Gateways that are served at a time.
_GATEWAYS = 1024


class _Term:
    """The feed side from when the lease was gained until it was lost."""

    def __init__(self, link: NatsLink, number: int, part: str, make: Callable[[NatsBus], FeedSide]) -> None:
        self._bus = NatsBus(link, term=number)
        self.feeds = make(self._bus)
        server = DemandServer(
            link.reactor,
            self.feeds.demand,
            generation=secrets.token_hex(8),
            bounds=Bounds(channels=_GATEWAYS),
        )
        self._demand = NatsDemandServer(link, server, part)

    def begin(self) -> None:
        """Begin to serve gateways."""
        for part in self.feeds.parts():
            part.startService()
        self._demand.start()

    def silence(self) -> None:
        """From now on another process may be serving: say nothing more."""
        self._demand.close()
        self._bus.shutdown()

    async def end(self) -> None:
        """Leave the brokers."""
        await self._demand.stop()
        for part in reversed(self.feeds.parts()):
            await maybeDeferred(part.stopService)
        self._bus.shutdown()


class Leader:
    """Asks for a lease while it is to, and has a feed side while it has it.

    ``make`` makes one that publishes on the given bus, ``unmake`` forgets it. ``part`` ends the subjects of
    its demand, and ``what`` its name in the log.
    """

    log = Logger()

    def __init__(
        self,
        link: NatsLink,
        store: LeaseStore,
        *,
        ttl: float,
        part: str,
        what: str,
        make: Callable[[NatsBus], FeedSide],
        unmake: Callable[[FeedSide], None],
    ) -> None:
        self._link = link
        self._part = part
        self._what = what
        self._make = make
        self._unmake = unmake
        self._lease = Lease(link.reactor, store, ttl=ttl, gained=self._gained, lost=self._lost)
        self._term: _Term | None = None
        self._wanted = False
        self._leading = False
        self._changing = DeferredLock()

    @property
    def feeds(self) -> FeedSide | None:
        """The feed side, while this process leads."""
        return None if self._term is None else self._term.feeds

    def want(self, wanted: bool) -> Deferred[None]:
        """Ask for the lease; or leave the brokers and then let another process take over, which has
        begun when this fires."""
        self._wanted = wanted
        return self._change()

    def abandon(self) -> None:
        """Another process may lead from now on."""
        self._wanted = False
        self._lost()

    def _gained(self) -> None:
        self._leading = True
        self._change()

    def _lost(self) -> None:
        self._leading = False
        if self._term is not None:
            self._term.silence()
        self._change()

    def _change(self) -> Deferred[None]:
        changing: Deferred[None] = self._changing.run(lambda: Deferred.fromCoroutine(self._follow()))
        return changing.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self.log.failure("the feeds' side failed", failure)
        if self._wanted:
            # Another process shall serve.
            stop_reactor(self._link.reactor)

    async def _follow(self) -> None:
        """Have a feed side if and only if this process leads, and is to."""
        leads = self._leading and self._wanted
        if leads and self._term is None:
            self.log.info("this process serves {what}", what=self._what)
            self._term = _Term(self._link, self._lease.term, self._part, self._make)
            self._term.begin()
        elif not leads and self._term is not None:
            self.log.info("this process serves {what} no more", what=self._what)
            term, self._term = self._term, None
            self._unmake(term.feeds)
            await term.end()
        if self._wanted and not self._lease.asking:
            self._lease.start()
        elif not self._wanted and self._lease.asking:
            await self._lease.stop()
