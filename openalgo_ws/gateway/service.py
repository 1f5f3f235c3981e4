"""The gateway as a Twisted service: listens, routes, and tells clients what concerns them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from time import time
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from openalgo_ws.bus.demand import Demand, Denied, Status
from openalgo_ws.bus.topics import is_invalidation, is_order_update
from openalgo_ws.gateway.context import Authenticator, Context, GatewaySettings
from openalgo_ws.gateway.formats import ENCODERS
from openalgo_ws.gateway.limits import Limits
from openalgo_ws.gateway.orders import OrderRelay
from openalgo_ws.gateway.origins import ANY
from openalgo_ws.gateway.protocol import ClientFactory
from openalgo_ws.gateway.router import Router
from openalgo_ws.gateway.session import Session

__all__ = ["Gateway"]

#: How long clients may take to leave when the server stops (seconds).
_FAREWELL = 2.0


class _Invalidation(msgspec.Struct):
    user_id: str


_invalidation = msgspec.json.Decoder(_Invalidation).decode


class Gateway(Service):
    """Serves clients on all given endpoints from one router.

    ``last_values`` is how long (seconds) last values outlive their last subscriber; ``mirror``: the bus
    is a feed process', which sends those of what begins to be held. ``invalidate`` is called with the user
    whose credentials changed (CACHE_INVALIDATE).
    """

    log = Logger()
    name = "gateway"

    def __init__(
        self,
        *,
        reactor: Any,
        endpoints: Sequence[IStreamServerEndpoint],
        demand: Demand,
        authenticator: Authenticator,
        settings: GatewaySettings,
        limits: Limits,
        describe: Callable[[str | None], Mapping[str, Any]] = lambda broker: {},
        invalidate: Callable[[str], None] = lambda user: None,
        origins: tuple[str, ...] = ANY,
        wall_ms: Callable[[], int] = lambda: int(time() * 1000),
        last_values: float = 300.0,
        mirror: bool = False,
    ) -> None:
        self._reactor = reactor
        self._endpoints = endpoints
        self._invalidate = invalidate
        self._ports: list[IListeningPort] = []
        self._orders = OrderRelay()
        self.router = Router(
            reactor, ENCODERS, wall_ms=wall_ms, control=self._control, linger=last_values, mirror=mirror
        )
        self.context = Context(
            reactor=reactor,
            router=self.router,
            demand=demand,
            authenticator=authenticator,
            settings=settings,
            limits=limits,
            describe=describe,
            wall_ms=wall_ms,
        )
        self.factory = ClientFactory(self.context, origins=origins)
        demand.listen(self)

    # The service's life.

    def privilegedStartService(self) -> None:
        """Bind all endpoints. An address in use raises here, before the server says it is up."""
        for endpoint in self._endpoints:
            listening: Deferred[IListeningPort] = endpoint.listen(self.factory)
            failures: list[Any] = []
            listening.addCallbacks(self._ports.append, failures.append)
            if failures:
                failures[0].raiseException()
        for port in self._ports:
            self.factory.doorway.watch(port)

    def startService(self) -> None:
        """Begin."""
        if not self._ports:
            self.privilegedStartService()
        super().startService()  # type: ignore[no-untyped-call]
        if self._ports:
            self.log.info("listening on {addresses}", addresses=", ".join(map(str, self.addresses())))

    def addresses(self) -> list[Any]:
        """Where the gateway listens, with real port numbers."""
        return [port.getHost() for port in self._ports]

    def clients(self) -> list[Session]:
        """Everybody who is connected."""
        return [client.session for client in self.factory.clients if client.session is not None]

    def status(self) -> dict[str, Any]:
        """What the gateway has done and whom it serves, for the status port."""
        stats, bus = self.router.stats, self.router.bus_stats
        return {
            "clients": len(self.factory.clients),
            "users": len(self.context.sessions),
            "outboxes": self.router.delivery.outboxes(),
            "deliveries": stats.deliveries,
            "encoded": stats.encoded,
            "conflated": stats.conflated,
            "bus": {
                "messages": bus.messages,
                "ticks": bus.ticks,
                "unwanted": bus.unwanted,
                "malformed": bus.malformed,
            },
        }

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        await DeferredList([maybeDeferred(port.stopListening) for port in ports])
        gone = self.factory.close_all(1001, "server shutting down")
        gone.addTimeout(_FAREWELL, self._reactor, onTimeoutCancel=lambda result, timeout: None)
        await gone
        self.factory.doorway.stop()
        self.router.stop()

    def stopService(self) -> Deferred[None]:
        """Stop accepting, close every client with 1001, end all timers."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    # From the bus.

    def receive(self, messages: Sequence[tuple[bytes, bytes]]) -> Deferred[None] | None:
        """A batch of bus messages; the next one should wait for the Deferred."""
        return self.router.receive(messages)

    def _control(self, topic: bytes, payload: bytes) -> None:
        if is_order_update(topic):
            self._order(payload)
        elif is_invalidation(topic):
            try:
                self._invalidate(_invalidation(payload).user_id)
            except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
                self.router.malformed("a cache invalidation that names no user")
        elif not topic.endswith((b"_positions", b"_margins")):
            self.router.malformed("a topic that is not known")

    def _order(self, payload: bytes) -> None:
        try:
            user = self._orders.read(payload)
        except ValueError:
            self.router.malformed("an order update that names no user")
            return
        if user is not None:
            for session in self.context.order_listeners.get(user, ()):
                session.send_text(payload)

    # From the accounts.

    def keys_changed(self, users: Collection[str]) -> None:
        """The keys of these users were replaced or revoked: their sessions end."""
        for user in users:
            for session in list(self.context.sessions.get(user, ())):
                session.close(4401, "the API key is no longer valid")

    # From the feeds.

    def status_changed(self, users: Collection[str], status: Status) -> None:
        """The feed of these users changed its state: tell those who asked for notices."""
        notice = {
            "type": "feed_status",
            "broker": status.broker,
            "status": status.state.value,
            "message": status.message,
        }
        for user in users:
            for session in list(self.context.sessions.get(user, ())):
                session.broker = status.broker or session.broker
                if session.notices:
                    session.send(notice)

    def notify(self, users: Collection[str], notice: Mapping[str, Any]) -> None:
        """Send a notice to those clients of these users that asked for notices."""
        for user in users:
            for session in list(self.context.sessions.get(user, ())):
                if session.notices:
                    session.send(notice)

    def refused(self, feed: str, symbol: str, exchange: str, denied: Denied) -> None:
        """The broker turned a granted subscription down: tell those who hold it."""
        for members in list(self.context.sessions.values()):
            for session in list(members):
                session.refused(feed, symbol, exchange, denied)
