"""The server as one process: feeds, bus, gateway and status port, or some of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from openalgo_ws import __version__
from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.service import Accounts
from openalgo_ws.bus.ring import Wait
from openalgo_ws.bus.shm import ShmBus
from openalgo_ws.bus.zeromq import Publisher, ZmqBus
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.config import Settings
from openalgo_ws.demo import BROKER, DEMO_PEPPER, Demo
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.gateway.listen import endpoint
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.ops.probe import Probe
from openalgo_ws.ops.proxy_stats import ProxyStats, proxy_stats
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.service import StatusPort
from openalgo_ws.ops.sources import Intakes, Sources, Waiting
from openalgo_ws.ops.supervisor import Supervised
from openalgo_ws.options import stop
from openalgo_ws.process import on_hangup
from openalgo_ws.scale.shards import Shards
from openalgo_ws.scale.supervisor import renew
from openalgo_ws.symbols.service import SymbolService
from openalgo_ws.tap.feeds import INSIDE, FeedSide, feed_side, outside
from openalgo_ws.tap.gateway import default_user, make_gateway
from openalgo_ws.tap.pool import Pool
from openalgo_ws.tap.process import Process, refusals, vault_and_database
from openalgo_ws.tap.shards import feed_shards

__all__ = ["Server", "Start"]

_DEFAULT_PORT = 8765


class Start(msgspec.Struct, frozen=True):
    """How the process was started: the options that a worker needs to be started with, and what takes
    the lines that it logs."""

    arguments: list[str]
    relay: Callable[[str], None]


class Server(Process):
    """Worker processes and feed shards need to know ``start``."""

    def __init__(self, reactor: Any, settings: Settings, start: Start | None = None) -> None:
        super().__init__(reactor, settings)
        self._demo: Demo | None = None
        self._pool: Pool | None = None
        self._shards: Shards | None = None
        self._start = start
        if settings.workers > 1 and start is None:
            stop("WS_WORKERS: inside another program there can be no worker processes")
        if settings.feed_shards > 1 and start is None:
            stop("WS_FEED_SHARDS: inside another program there can be no other feed processes")
        if settings.chosen_bus() == "nats":
            stop("WS_BUS: inside another program there is no NATS")
        with refusals(settings):
            self._endpoints = [endpoint(reactor, text) for text in settings.endpoints()]
            if not settings.demo:
                self._use(*vault_and_database(settings))

    def _started(self) -> None:
        if self._pool is None:
            self._began()

    def _began(self) -> None:
        """Clients are served."""
        # Last: what is ready is everything, and that it stops is said before anything does.
        supervised = Supervised(self._reactor)
        self._parts.append(supervised)
        supervised.startService()
        if self._demo is not None:
            self._welcome(self._demo)

    def _leave(self) -> None:
        if self._pool is not None:
            self._pool.leave()

    def _build(self) -> None:
        settings, reactor = self._settings, self._reactor
        if settings.demo:
            self._demo = Demo(reactor, self._registry)
            self._closing.append(self._demo.clean)
            self._use(Vault(DEMO_PEPPER), self._demo.database)
            self._demo.privilegedStartService()
        else:
            self._database.prepare()
        accounts = Accounts(reactor, self._database, self._vault)
        symbols = SymbolService(reactor, self._database, self._registry.load)
        environment = SystemEnvironment()
        shards = None
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
            self._closing.append(shards.close)
        bus = ZmqBus(reactor)
        self._closing.append(bus.shutdown)
        memory = _shared_memory(reactor, settings) if settings.feeds == "own" else None
        if memory is not None:
            self._closing.append(memory.shutdown)
        self._parts = [part for part in (self._demo, accounts, symbols) if part is not None]
        feeds = feed_side(
            reactor,
            settings,
            accounts=accounts,
            symbols=symbols,
            registry=self._registry,
            bus=bus if memory is None else memory,
            environment=environment,
            urls={**settings.feed_url, **({} if self._demo is None else {BROKER: self._demo.broker.url})},
        )
        self._parts += feeds.parts()
        if shards is not None:
            feeds = msgspec.structs.replace(feeds, demand=shards.joined(feeds.demand))
            self._parts += shards.parts

        def invalidate(user: str) -> None:
            accounts.invalidate(user)
            feeds.credentials_changed(user)
            if shards is not None:
                shards.invalidate(user)

        pool = None
        if self._start is not None and settings.workers > 1:
            pool = self._pool = Pool(reactor, settings, arguments=self._start.arguments)
            self._closing.append(pool.close)
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
        others = [] if shards is None else [BusEndpoint(shards.bus, bind=True)]
        subscriber = bus.subscriber([INSIDE, *outside(settings), *others], receive)
        self._unread = subscriber.unread
        self._intake: Waiting = subscriber.intake
        if memory is not None:
            self._intake = Intakes(self._intake, memory.subscriber(receive).intake)
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

    def _status_port(
        self, gateway: Gateway, accounts: Accounts, feeds: FeedSide, environment: SystemEnvironment
    ) -> StatusPort:
        sources = Sources(
            version=__version__,
            gateway=gateway,
            pulse=Pulse(self._reactor),
            intake=self._intake,
            unread=self._unread,
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
