"""The server as one process: feeds, bus, gateway and status port, or some of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import zmq
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from zope.interface import implementer

from openalgo_ws import __version__
from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import BadDatabaseUrl, Database, DatabaseUnavailable
from openalgo_ws.accounts.service import Accounts
from openalgo_ws.bus.ring import RingError, Wait
from openalgo_ws.bus.shm import ShmBus
from openalgo_ws.bus.zeromq import BusEndpoint, Publisher, ZmqBus
from openalgo_ws.config import Settings, SettingsError
from openalgo_ws.demo import BROKER, DEMO_PEPPER, Demo
from openalgo_ws.event_loop import loop_of
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.gateway.listen import EndpointError, endpoint
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.ops.probe import Probe
from openalgo_ws.ops.proxy_stats import ProxyStats, proxy_stats
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.service import StatusPort
from openalgo_ws.ops.sources import Intakes, Sources, Waiting
from openalgo_ws.ops.supervisor import Supervised
from openalgo_ws.options import stop
from openalgo_ws.process import (
    calm_collector,
    end_cleanly_on_signals,
    on_hangup,
    raise_descriptor_limit,
)
from openalgo_ws.registry import Registry
from openalgo_ws.scale.listening import CannotBind
from openalgo_ws.scale.private import PathTooLong
from openalgo_ws.scale.shards import Shards
from openalgo_ws.scale.supervisor import renew
from openalgo_ws.symbols.service import SymbolService
from openalgo_ws.tap.feeds import INSIDE, FeedSide, feed_side, outside
from openalgo_ws.tap.gateway import default_user, make_gateway
from openalgo_ws.tap.pool import Pool
from openalgo_ws.tap.shards import feed_shards

__all__ = ["Server", "Start"]

#: The whole server is down within this time after SIGTERM (seconds).
_SHUTDOWN = 4.5

_DEFAULT_PORT = 8765


class Start(msgspec.Struct, frozen=True):
    """How the process was started: the options that a worker needs to be started with, and what takes
    the lines that it logs."""

    arguments: list[str]
    relay: Callable[[str], None]


@implementer(IService)
class Server(Service):
    """All parts of one process, started in order and stopped in the opposite order.

    Worker processes need to know ``start``.
    """

    log = Logger()
    name = "server"

    def __init__(self, reactor: Any, settings: Settings, start: Start | None = None) -> None:
        self._reactor = reactor
        self._settings = settings
        self._registry = Registry()
        self._demo: Demo | None = None
        self._parts: list[Any] = []
        self._pool: Pool | None = None
        self._shards: Shards | None = None
        self._start = start
        if settings.workers > 1 and start is None:
            stop("WS_WORKERS: inside another program there can be no worker processes")
        if settings.feed_shards > 1 and start is None:
            stop("WS_FEED_SHARDS: inside another program there can be no other feed processes")
        if settings.chosen_bus() == "nats":
            stop("WS_BUS: inside another program there is no NATS")
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
        except (CannotBind, PathTooLong) as error:
            stop(error)
        except zmq.ZMQError as error:
            stop(f"the bus can't have {settings.zmq_host}:{settings.zmq_port}: {error.strerror}")
        except RingError as error:
            stop(f"the bus can't have its shared memory: {error}")
        except CannotListenError as error:
            stop(f"can't listen on {error.interface or 'any'}:{error.port}: {error.socketError.strerror}")

    def startService(self) -> None:
        """Begin to serve."""
        super().startService()  # type: ignore[no-untyped-call]
        self.log.info("the event loop is {loop}", loop=loop_of(self._reactor))
        self._database.start()
        end_cleanly_on_signals(self._reactor)
        for part in self._parts:
            part.startService()
        calm_collector()
        if self._pool is None:
            self._began()

    def _began(self) -> None:
        """Clients are served."""
        # Last: what is ready is everything, and that it stops is said before anything does.
        self._supervised.startService()
        if self._demo is not None:
            self._welcome(self._demo)

    def stopService(self) -> Deferred[None]:
        """Stop accepting, say goodbye to clients, leave the brokers, close the rest: within 5 s."""
        super().stopService()  # type: ignore[no-untyped-call]
        stopping = Deferred.fromCoroutine(self._stop())
        return stopping.addTimeout(_SHUTDOWN, self._reactor, onTimeoutCancel=lambda result, timeout: None)

    async def _stop(self) -> None:
        if self._pool is not None:
            self._pool.leave()
        for part in reversed([*self._parts, self._supervised]):
            await maybeDeferred(part.stopService)
        self._bus.shutdown()
        if self._pool is not None:
            self._pool.close()
        if self._memory is not None:
            self._memory.shutdown()
        if self._shards is not None:
            self._shards.close()
        self._database.stop()
        if self._demo is not None:
            self._demo.clean()

    def _build(self) -> None:
        settings, reactor = self._settings, self._reactor
        accounts = Accounts(reactor, self._database, self._vault)
        symbols = SymbolService(reactor, self._database, self._registry.load)
        environment = SystemEnvironment()
        self._bus = ZmqBus(reactor)
        self._memory = _shared_memory(reactor, settings) if settings.feeds == "own" else None
        self._parts = [part for part in (self._demo, accounts, symbols) if part is not None]
        feeds = feed_side(
            reactor,
            settings,
            accounts=accounts,
            symbols=symbols,
            registry=self._registry,
            bus=self._bus if self._memory is None else self._memory,
            environment=environment,
            urls={**settings.feed_url, **({} if self._demo is None else {BROKER: self._demo.broker.url})},
        )
        self._parts += feeds.parts()
        if self._start is not None and settings.feed_shards > 1:
            shards = self._shards = feed_shards(
                reactor,
                settings,
                database=self._database,
                vault=self._vault,
                registry=self._registry,
                arguments=self._start.arguments,
                relay=self._start.relay,
            )
            feeds = msgspec.structs.replace(feeds, demand=shards.joined(feeds.demand))
            self._parts += shards.parts

        def invalidate(user: str) -> None:
            accounts.invalidate(user)
            feeds.credentials_changed(user)
            if self._shards is not None:
                self._shards.invalidate(user)

        pool = None
        if self._start is not None and settings.workers > 1:
            pool = self._pool = Pool(reactor, settings, arguments=self._start.arguments)
        gateway = make_gateway(
            reactor,
            settings,
            endpoints=self._endpoints if pool is None else [],
            accounts=accounts,
            registry=self._registry,
            demand=feeds.demand if pool is None else pool.demand,
            environment=environment,
            everybody=default_user(settings, self._database, self._vault),
            invalidate=invalidate,
        )
        receive = gateway.receive if pool is None else pool.receive
        others = [] if self._shards is None else [BusEndpoint(self._shards.bus, bind=True)]
        self._intake: Waiting = self._bus.subscriber([INSIDE, *outside(settings), *others], receive).intake
        if self._memory is not None:
            self._intake = Intakes(self._intake, self._memory.subscriber(receive).intake)
        elif feeds.own is not None and isinstance(feeds.own.publisher, Publisher):
            feeds.own.publisher.attach([BusEndpoint(INSIDE.address, bind=False)])
        gateway.privilegedStartService()
        self._gateway = gateway
        self._parts.append(gateway)
        if pool is not None and self._start is not None:
            self._parts += pool.wire(
                feeds.demand,
                gateway,
                relay=self._start.relay,
                began=self._began,
                database=None if self._demo is None else self._demo.database_url,
            )
        renewed = [one.supervisor for one in (pool, self._shards) if one is not None]
        if renewed:
            on_hangup(reactor, lambda: renew(renewed))
        if settings.status_port:
            status = self._status_port(gateway, accounts, feeds, environment)
            status.privilegedStartService()  # type: ignore[no-untyped-call]
            self._parts.append(status)
        if settings.proxy_stats_file is not None:

            def stats() -> dict[str, Any]:
                reports = [] if feeds.own is None else feeds.own.manager.account_reports()
                if self._shards is not None:
                    reports += self._shards.account_reports()
                elsewhere = None if pool is None else pool.served()
                return proxy_stats(gateway.clients(), reports, environment.now(), elsewhere)

            self._parts.append(ProxyStats(reactor, settings.proxy_stats_file, stats))
        self._supervised = Supervised(reactor)

    def _status_port(
        self, gateway: Gateway, accounts: Accounts, feeds: FeedSide, environment: SystemEnvironment
    ) -> StatusPort:
        sources = Sources(
            version=__version__, gateway=gateway, pulse=Pulse(self._reactor), intake=self._intake
        )
        if self._pool is not None:
            sources = msgspec.structs.replace(sources, workers=self._pool.supervisor)
        if feeds.own is not None:
            own = feeds.own
            sources = msgspec.structs.replace(
                sources,
                feeds=own.manager,
                bus=own.publisher,
                meter=own.meter,
                probe=Probe(self._reactor, own.publisher, gateway.router),
                due=own.stale.due,
            )
            if self._shards is not None:
                whole = self._shards.feeds(own.manager, own.meter, own.publisher, own.stale.due)
                reports = self._shards.supervisor.reports
                sources = msgspec.structs.replace(
                    sources, feeds=whole, bus=whole, meter=whole, due=whole.due, shards=reports
                )
        return StatusPort(
            self._reactor, self._settings, sources, keys=accounts, demand=feeds.demand, now=environment.now
        )

    def _welcome(self, demo: Demo) -> None:
        port = self._gateway.addresses()[0].port if self._pool is None else self._pool.supervisor.port
        url = "" if port == _DEFAULT_PORT else f" --url ws://127.0.0.1:{port}"
        command = Path(sys.argv[0]).parent / "openalgo-ws"
        watch = f"{command} watch NSE:RELIANCE NSE_INDEX:NIFTY --mode depth{url}"
        # Not through `sys.stdout`, which is the log's by now.
        page = f"http://{self._settings.status_host}:{self._settings.status_port}/?watch=NSE:RELIANCE"
        shown = page if self._settings.status_port else None
        print(demo.welcome(f"ws://127.0.0.1:{port}", watch, shown), file=sys.__stdout__, flush=True)


def _revealed(secret: Any) -> str | None:
    return None if secret is None else secret.reveal()


def _shared_memory(reactor: Any, settings: Settings) -> ShmBus | None:
    """The way of our own feeds' ticks, where they don't take ZeroMQ. Its name is this process's alone."""
    if settings.chosen_bus() != "shm":
        return None
    bus = ShmBus(
        reactor,
        str(os.getpid()),
        slots=settings.disruptor_buffer_size,
        wait=Wait(settings.disruptor_wait_strategy),
    )
    bus.sweep()
    return bus
