"""``twistd openalgo-ws``: the only place where the parts are wired together."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import zmq
from OpenSSL.crypto import Error as OpenSSLError
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.ssl import Certificate
from twisted.logger import Logger
from zope.interface import implementer

from openalgo_ws import __version__
from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import BadDatabaseUrl, Database, DatabaseUnavailable
from openalgo_ws.accounts.service import Accounts
from openalgo_ws.accounts.store import list_users
from openalgo_ws.bus.demand import Demand, ExternalDemand, NoDemand
from openalgo_ws.bus.zeromq import BusEndpoint, Publisher, ZmqBus
from openalgo_ws.config import Settings, SettingsError
from openalgo_ws.demo import BROKER, DEMO_PEPPER, Demo
from openalgo_ws.feeds.environment import SystemEnvironment, make_steady
from openalgo_ws.feeds.interfaces import FeedSettings
from openalgo_ws.feeds.maker import Connections
from openalgo_ws.feeds.manager import FeedManager
from openalgo_ws.feeds.options import ConnectionOptions
from openalgo_ws.feeds.plan import FeedPlan
from openalgo_ws.feeds.sessions import MarketSessions
from openalgo_ws.gateway.context import GatewaySettings
from openalgo_ws.gateway.keys import KeyChecker
from openalgo_ws.gateway.limits import Limits
from openalgo_ws.gateway.listen import EndpointError, endpoint
from openalgo_ws.gateway.origins import allowed_origins
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.log import LoggedService, twistd_observer
from openalgo_ws.ops.meter import Meter
from openalgo_ws.ops.probe import Probe
from openalgo_ws.ops.proxy_stats import ProxyStats, proxy_stats
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.service import StatusPort
from openalgo_ws.ops.sources import Sources
from openalgo_ws.ops.stale import StaleWatch
from openalgo_ws.ops.supervisor import Supervised
from openalgo_ws.options import Options, stop
from openalgo_ws.process import calm_collector, end_cleanly_on_signals, raise_descriptor_limit
from openalgo_ws.registry import AdapterBroken, AdapterNotFound, Offered, Registry
from openalgo_ws.symbols.service import SymbolService

__all__ = ["Options", "Server", "makeService"]

#: The whole server is down within this time after SIGTERM (seconds).
_SHUTDOWN = 4.5

_INSIDE = BusEndpoint("inproc://openalgo-ws", bind=True)
_DEFAULT_PORT = 8765


def makeService(options: Options) -> IService:
    """The server that these options describe. A mistake in them ends the process with one line."""
    from twisted.internet import reactor

    settings = options.settings
    make_steady(reactor)
    server = Server(reactor, settings)
    # `parent` is twistd's own options: where its log goes.
    parent: Mapping[str, Any] = getattr(options, "parent", None) or {}
    service = LoggedService(twistd_observer(settings, parent))
    server.setServiceParent(service)  # type: ignore[no-untyped-call]
    return service


@implementer(IService)
class Server(Service):
    """All parts of one process, started in order and stopped in the opposite order."""

    log = Logger()
    name = "server"

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._registry = Registry()
        self._demo: Demo | None = None
        self._parts: list[Any] = []
        try:
            self._endpoints = [endpoint(reactor, text) for text in settings.endpoints()]
            if not settings.demo:
                self._vault = Vault(settings.pepper(), _revealed(settings.fernet_salt))
                self._database = Database(settings.database_url.reveal())
        except (SettingsError, EndpointError) as error:
            stop(error)
        except BadDatabaseUrl as error:
            stop(f"DATABASE_URL: {error}")

    def privilegedStartService(self) -> None:
        """Open what may be refused: the database, the bus, the ports."""
        raise_descriptor_limit()
        settings = self._settings
        try:
            if settings.demo:
                self._demo = Demo(self._reactor, self._registry)
                self._demo.privilegedStartService()
                self._vault, self._database = Vault(DEMO_PEPPER), self._demo.database
            else:
                self._database.prepare()
            self._build()
        except DatabaseUnavailable as error:
            stop(f"DATABASE_URL: {error}")
        except zmq.ZMQError as error:
            stop(f"the bus can't have {settings.zmq_host}:{settings.zmq_port}: {error.strerror}")
        except CannotListenError as error:
            stop(f"can't listen on {error.interface or 'any'}:{error.port}: {error.socketError.strerror}")

    def startService(self) -> None:
        """Begin to serve."""
        super().startService()  # type: ignore[no-untyped-call]
        self._database.start()
        end_cleanly_on_signals(self._reactor)
        for part in self._parts:
            part.startService()
        calm_collector()
        if self._settings.disruptor_high_performance:
            self.log.warn("DISRUPTOR_HIGH_PERFORMANCE: there is no shared-memory bus yet, ZeroMQ is used")
        if self._demo is not None:
            self._welcome(self._demo)

    def stopService(self) -> Deferred[None]:
        """Stop accepting, say goodbye to clients, leave the brokers, close the rest: within 5 s."""
        super().stopService()  # type: ignore[no-untyped-call]
        stopping = Deferred.fromCoroutine(self._stop())
        return stopping.addTimeout(_SHUTDOWN, self._reactor, onTimeoutCancel=lambda result, timeout: None)

    async def _stop(self) -> None:
        for part in reversed(self._parts):
            await maybeDeferred(part.stopService)
        self._bus.shutdown()
        self._database.stop()
        if self._demo is not None:
            self._demo.clean()

    def _build(self) -> None:
        settings, reactor = self._settings, self._reactor
        accounts = Accounts(reactor, self._database, self._vault)
        symbols = SymbolService(reactor, self._database, self._registry.load)
        environment = SystemEnvironment()
        self._bus = ZmqBus(reactor)
        self._parts = [part for part in (self._demo, accounts, symbols) if part is not None]
        feeds: FeedManager | None = None
        publisher: Publisher | None = None
        demand: Demand
        if settings.feeds == "own":
            publisher = self._bus.publisher([])
            demand = feeds = self._own_feeds(accounts, symbols, publisher, environment)
            symbols.listen(feeds.master_changed)
            self._parts += [feeds, self._stale]
        elif settings.feeds == "external":
            demand = ExternalDemand(self._brokers())
        else:
            demand = NoDemand()

        def invalidate(user: str) -> None:
            accounts.invalidate(user)
            if feeds is not None:
                feeds.credentials_changed(user)

        gateway = Gateway(
            reactor=reactor,
            endpoints=self._endpoints,
            demand=demand,
            authenticator=KeyChecker(
                accounts,
                self._registry,
                settings.broker_environment(),
                any_session=settings.feeds == "external",
            ),
            settings=_gateway_settings(settings, self._default_user()),
            limits=_limits(settings),
            describe=self._describe,
            invalidate=invalidate,
            origins=allowed_origins(settings.allowed_origins, auth_required=settings.auth_required),
            wall_ms=lambda: int(environment.now() * 1000),
            last_values=settings.last_value_seconds,
        )
        accounts.on_keys_changed(gateway.keys_changed)
        self._intake = self._bus.subscriber([_INSIDE, *_outside(settings)], gateway.receive).intake
        if publisher is not None:
            publisher.attach([BusEndpoint(_INSIDE.address, bind=False)])
        gateway.privilegedStartService()
        self._gateway = gateway
        self._parts.append(gateway)
        if settings.status_port:
            status = self._status_port(gateway, accounts, demand, feeds, publisher, environment)
            status.privilegedStartService()  # type: ignore[no-untyped-call]
            self._parts.append(status)
        if settings.proxy_stats_file is not None:

            def stats() -> dict[str, Any]:
                accounts_now = [] if feeds is None else feeds.account_reports()
                return proxy_stats(gateway.clients(), accounts_now, environment.now())

            self._parts.append(ProxyStats(reactor, settings.proxy_stats_file, stats))
        # Last: what is ready is everything, and that it stops is said before anything does.
        self._parts.append(Supervised(reactor))

    def _status_port(
        self,
        gateway: Gateway,
        accounts: Accounts,
        demand: Demand,
        feeds: FeedManager | None,
        publisher: Publisher | None,
        environment: SystemEnvironment,
    ) -> StatusPort:
        sources = Sources(
            version=__version__,
            gateway=gateway,
            pulse=Pulse(self._reactor),
            feeds=feeds,
            bus=publisher,
            intake=self._intake,
        )
        if publisher is not None:
            probe = Probe(self._reactor, publisher, gateway.router)
            sources = msgspec.structs.replace(sources, meter=self._meter, probe=probe, due=self._stale.due)
        return StatusPort(
            self._reactor, self._settings, sources, keys=accounts, demand=demand, now=environment.now
        )

    def _default_user(self) -> str:
        """Whose feeds serve everybody with AUTH_REQUIRED=false: the only user with a session's."""
        if self._settings.auth_required:
            return ""
        users = self._database.call(lambda connection: list_users(connection, self._vault))
        logged_in = [user.name for user in users if user.logged_in]
        return logged_in[0] if len(logged_in) == 1 else "anonymous"

    def _own_feeds(
        self,
        accounts: Accounts,
        symbols: SymbolService,
        publisher: Publisher,
        environment: SystemEnvironment,
    ) -> FeedManager:
        settings = self._settings
        urls = dict(settings.feed_url)
        if self._demo is not None:
            urls[BROKER] = self._demo.broker.url
        roots = _trust_roots(settings)

        def options(broker: str) -> ConnectionOptions:
            return ConnectionOptions(
                base_url=urls.get(broker),
                verify_tls=settings.verify_tls.get(broker, True),
                trust_roots=roots,
            )

        sessions = MarketSessions.load(settings.exchange_sessions)
        # The watch asks the manager what is held; it is there before the manager is.
        watched: list[FeedManager] = []
        self._meter = Meter(publisher)
        self._stale = StaleWatch(
            self._reactor,
            published=self._meter.published,
            after=settings.stale_tick_warn_seconds,
            held=lambda: watched[0].held_exchanges(),
            calendar=sessions,
            now=environment.now,
        )
        manager = FeedManager(
            self._reactor,
            accounts=accounts,
            symbols=symbols,
            adapters=Offered(self._registry, settings.valid_brokers),
            environ=settings.broker_environment(),
            connections=Connections(
                reactor=self._reactor,
                environment=environment,
                sessions=sessions,
                options=options,
            ),
            sink=self._meter,
            environment=environment,
            plan=FeedPlan(settings.feed_plan),
            settings=FeedSettings(
                max_symbols=settings.max_symbols_per_websocket,
                max_connections=settings.max_websocket_connections,
                pooling=settings.enable_connection_pooling,
                linger=settings.unsubscribe_linger_seconds,
                take_back=settings.feed_take_back_seconds,
                expiry=settings.session_expiry_time,
            ),
        )
        watched.append(manager)
        return manager

    def _welcome(self, demo: Demo) -> None:
        port = self._gateway.addresses()[0].port
        url = "" if port == _DEFAULT_PORT else f" --url ws://127.0.0.1:{port}"
        command = Path(sys.argv[0]).parent / "openalgo-ws"
        watch = f"{command} watch NSE:RELIANCE NSE_INDEX:NIFTY --mode depth{url}"
        # Not through `sys.stdout`, which is the log's by now.
        page = f"http://{self._settings.status_host}:{self._settings.status_port}/?watch=NSE:RELIANCE"
        shown = page if self._settings.status_port else None
        print(demo.welcome(f"ws://127.0.0.1:{port}", watch, shown), file=sys.__stdout__, flush=True)

    def _brokers(self) -> list[str]:
        return Offered(self._registry, self._settings.valid_brokers).names()

    def _describe(self, broker: str | None) -> Mapping[str, Any]:
        """What a broker offers, for ``server_info``."""
        if broker is None:
            return {}
        try:
            adapter = self._registry.load(broker)
        except (AdapterNotFound, AdapterBroken):
            return {}
        return {"depth_levels": {name: list(adapter.levels(name)) for name in adapter.exchanges}}


def _outside(settings: Settings) -> list[BusEndpoint]:
    """Where publishers of other processes meet us."""
    if settings.zmq_mode == "connect":
        return [BusEndpoint(address, bind=False) for address in settings.zmq_endpoints]
    return [BusEndpoint(f"tcp://{settings.zmq_host}:{settings.zmq_port}", bind=True)]


def _gateway_settings(settings: Settings, default_user: str) -> GatewaySettings:
    return GatewaySettings(
        default_user=default_user,
        trusted_proxies=settings.trusted_proxies,
        default_format=settings.default_format,
        throttle_ms=settings.throttle_ms,
        throttle_floor_ms=settings.throttle_min_ms,
        auth_required=settings.auth_required,
        auth_grace=settings.auth_grace_seconds,
        slow_patience=settings.slow_client_seconds,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        compression=settings.compression,
        version=__version__,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        connections=settings.max_connections,
        connections_per_address=settings.max_connections_per_address,
        connections_per_user=settings.max_connections_per_user or settings.max_connections,
        subscriptions=settings.max_subscriptions,
        requests_per_second=settings.max_requests_per_second,
        request_burst=settings.request_burst,
        failed_authentications=settings.max_failed_authentications,
        failure_window=settings.failed_authentication_seconds,
        message_bytes=settings.max_message_bytes,
    )


def _trust_roots(settings: Settings) -> tuple[Certificate, ...]:
    if settings.trust_roots is None:
        return ()
    try:
        pem = settings.trust_roots.read_bytes()
        marker = b"-----BEGIN CERTIFICATE-----"
        return tuple(Certificate.loadPEM(marker + rest) for rest in pem.split(marker)[1:])
    except (OSError, OpenSSLError) as error:
        stop(f"WS_TRUST_ROOTS: {settings.trust_roots} can't be read ({type(error).__name__})")


def _revealed(secret: Any) -> str | None:
    return None if secret is None else secret.reveal()
