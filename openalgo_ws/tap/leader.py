"""The side of the feeds in one of several processes, while it is this one that serves."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
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

    def __init__(self, link: NatsLink, make: Callable[[NatsBus], FeedSide]) -> None:
        self._bus = NatsBus(link)
        self.feeds = make(self._bus)
        server = DemandServer(
            link.reactor,
            self.feeds.demand,
            generation=secrets.token_hex(8),
            bounds=Bounds(channels=_GATEWAYS),
        )
        self._demand = NatsDemandServer(link, server)

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


class Leader(Service):
    """Asks for the lease, and has a feed side while it has it.

    ``make`` makes one that publishes on the given bus, ``unmake`` forgets it.
    """

    log = Logger()
    name = "leader"

    def __init__(
        self,
        link: NatsLink,
        store: LeaseStore,
        *,
        ttl: float,
        make: Callable[[NatsBus], FeedSide],
        unmake: Callable[[FeedSide], None],
    ) -> None:
        self._link = link
        self._make = make
        self._unmake = unmake
        self._lease = Lease(link.reactor, store, ttl=ttl, gained=self._gained, lost=self._lost)
        self._term: _Term | None = None
        self._leading = False
        self._asked = False
        self._changing = DeferredLock()

    @property
    def feeds(self) -> FeedSide | None:
        """The feed side, while this process leads."""
        return None if self._term is None else self._term.feeds

    def startService(self) -> None:
        """Begin to ask for the lease as soon as NATS is reached."""
        super().startService()  # type: ignore[no-untyped-call]
        self._link.join(self)

    def stopService(self) -> Deferred[Any]:
        """Leave the brokers, then let another process take over."""
        super().stopService()  # type: ignore[no-untyped-call]
        self.close()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._change()
        await self._lease.stop()

    def credentials_changed(self, user: str) -> None:
        """A user's credentials may have changed."""
        if self.feeds is not None:
            self.feeds.credentials_changed(user)

    def up(self) -> None:
        """Part of `LinkEnd`."""
        if not self._asked and self.running:
            self._asked = True
            self._lease.start()

    def down(self) -> None:
        """Part of `LinkEnd`: the lease ends by itself if NATS does not come back soon."""

    def close(self) -> None:
        """Part of `LinkEnd`."""
        self._leading = False
        self._link.part(self)

    def _gained(self) -> None:
        if self.running:
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
        if self.running:
            # Another process shall serve.
            stop_reactor(self._link.reactor)

    async def _follow(self) -> None:
        """Have a feed side if and only if this process leads."""
        if self._leading and self._term is None:
            self.log.info("this process serves the feeds")
            self._term = _Term(self._link, self._make)
            self._term.begin()
        elif not self._leading and self._term is not None:
            self.log.info("this process serves the feeds no more")
            term, self._term = self._term, None
            self._unmake(term.feeds)
            await term.end()
