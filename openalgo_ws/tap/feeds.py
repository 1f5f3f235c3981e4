"""The side of the feeds: who answers the gateway's demand, and what publishes on the bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from OpenSSL.crypto import Error as OpenSSLError
from twisted.internet.ssl import Certificate

from openalgo_ws.accounts.service import Accounts
from openalgo_ws.bus.demand import Demand, ExternalDemand, NoDemand
from openalgo_ws.bus.interface import Bus, BusPublisher
from openalgo_ws.bus.zeromq import ZmqBus
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.config import Settings
from openalgo_ws.config.alerts import rules_in_force
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.feeds.interfaces import FeedSettings
from openalgo_ws.feeds.maker import Connections
from openalgo_ws.feeds.manager import FeedManager
from openalgo_ws.feeds.options import ConnectionOptions
from openalgo_ws.feeds.plan import FeedPlan
from openalgo_ws.feeds.sessions import MarketSessions
from openalgo_ws.ops.alerts import tells_of_silence
from openalgo_ws.ops.meter import Meter
from openalgo_ws.ops.stale import StaleWatch
from openalgo_ws.options import stop
from openalgo_ws.registry import Offered, Registry
from openalgo_ws.symbols.service import SymbolService

__all__ = ["INSIDE", "FeedSide", "OwnFeeds", "feed_settings", "feed_side", "outside"]

#: Where the publisher of a process meets its subscriber.
INSIDE = BusEndpoint("inproc://openalgo-ws", bind=True)


class OwnFeeds(msgspec.Struct, frozen=True):
    """Feeds of this process."""

    manager: FeedManager
    publisher: BusPublisher
    meter: Meter
    stale: StaleWatch


class FeedSide(msgspec.Struct, frozen=True):
    """``own`` is None where nobody here speaks to brokers."""

    demand: Demand
    own: OwnFeeds | None = None

    def parts(self) -> list[Any]:
        """The services of this side, in the order in which they are to be started."""
        return [] if self.own is None else [self.own.manager, self.own.stale]

    def credentials_changed(self, user: str) -> None:
        """A user's credentials may have changed."""
        if self.own is not None:
            self.own.manager.credentials_changed(user)


def feed_side(
    reactor: Any,
    settings: Settings,
    *,
    accounts: Accounts,
    symbols: SymbolService,
    registry: Registry,
    bus: ZmqBus | Bus,
    environment: SystemEnvironment,
    urls: Mapping[str, str],
) -> FeedSide:
    """What ``--feeds`` says. ``urls`` are those of brokers that are not where they usually are."""
    if settings.feeds == "external":
        return FeedSide(ExternalDemand(Offered(registry, settings.valid_brokers).names()))
    if settings.feeds == "none":
        return FeedSide(NoDemand())
    own = _own_feeds(reactor, settings, accounts, symbols, registry, bus, environment, urls)
    symbols.listen(own.manager.master_changed)
    return FeedSide(own.manager, own)


def outside(settings: Settings) -> list[BusEndpoint]:
    """Where publishers of other processes meet us."""
    if settings.zmq_mode == "connect":
        return [BusEndpoint(address, bind=False) for address in settings.zmq_endpoints]
    return [BusEndpoint(f"tcp://{settings.zmq_host}:{settings.zmq_port}", bind=True)]


def feed_settings(settings: Settings) -> FeedSettings:
    """What the operator has set about feeds."""
    return FeedSettings(
        max_symbols=settings.max_symbols_per_websocket,
        max_connections=settings.max_websocket_connections,
        pooling=settings.enable_connection_pooling,
        shards=settings.feed_shards,
        linger=settings.unsubscribe_linger_seconds,
        take_back=settings.feed_take_back_seconds,
        expiry=settings.session_expiry_time,
    )


def _own_feeds(
    reactor: Any,
    settings: Settings,
    accounts: Accounts,
    symbols: SymbolService,
    registry: Registry,
    bus: ZmqBus | Bus,
    environment: SystemEnvironment,
    urls: Mapping[str, str],
) -> OwnFeeds:
    roots = _trust_roots(settings)

    def options(broker: str) -> ConnectionOptions:
        return ConnectionOptions(
            base_url=urls.get(broker),
            verify_tls=settings.verify_tls.get(broker, True),
            trust_roots=roots,
        )

    publisher = bus.publisher([]) if isinstance(bus, ZmqBus) else bus.publisher()
    meter = Meter(publisher)
    sessions = MarketSessions.load(settings.exchange_sessions)
    manager = FeedManager(
        reactor,
        accounts=accounts,
        symbols=symbols,
        adapters=Offered(registry, settings.valid_brokers),
        environ=settings.broker_environment(),
        connections=Connections(reactor=reactor, environment=environment, sessions=sessions, options=options),
        sink=meter,
        environment=environment,
        plan=FeedPlan(settings.feed_plan),
        settings=feed_settings(settings),
    )
    # Alerts need a status port. Feed shards' are the server's.
    watched = settings.status_port != 0
    rules = rules_in_force(settings.alerts, settings.stale_tick_warn_seconds) if watched else []
    stale = StaleWatch(
        reactor,
        published=meter.published,
        after=settings.stale_tick_warn_seconds,
        held=manager.held_exchanges,
        calendar=sessions,
        now=environment.now,
        alerted=tells_of_silence(
            rules, lambda: {tag: status.broker for tag, status in manager.feed_states().items()}
        ),
    )
    return OwnFeeds(manager, publisher, meter, stale)


def _trust_roots(settings: Settings) -> tuple[Certificate, ...]:
    if settings.trust_roots is None:
        return ()
    try:
        pem = settings.trust_roots.read_bytes()
        marker = b"-----BEGIN CERTIFICATE-----"
        return tuple(Certificate.loadPEM(marker + rest) for rest in pem.split(marker)[1:])
    except (OSError, OpenSSLError) as error:
        stop(f"WS_TRUST_ROOTS: {settings.trust_roots} can't be read ({type(error).__name__})")
