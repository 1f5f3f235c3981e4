"""One of several processes that meet on NATS, on one machine or many: for the feeds, or for clients.

A gateway serves clients, and takes from NATS what they hold. A process for the feeds takes publishers
outside in, and while it has a lease (`openalgo_ws.tap.leaders`) it speaks to brokers; the others stand by.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from openalgo_ws import __version__
from openalgo_ws.accounts.service import Accounts
from openalgo_ws.bus.demand import Demand
from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.nats import NatsBus, NatsPublisher
from openalgo_ws.bus.nats_link import NatsLink, WrongReactor
from openalgo_ws.bus.zeromq import ZmqBus
from openalgo_ws.config import Settings
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.gateway.listen import endpoint
from openalgo_ws.ops.proxy_stats import ProxyStats, proxy_stats
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.service import StatusPort
from openalgo_ws.ops.sources import Sources, Waiting
from openalgo_ws.ops.supervisor import Supervised
from openalgo_ws.options import stop
from openalgo_ws.scale.nats_demand import NatsDemandClient
from openalgo_ws.scale.partitions import PartitionedDemand, Partitions
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.symbols.service import SymbolService
from openalgo_ws.tap.feeds import FeedSide, OwnFeeds, feed_side, outside
from openalgo_ws.tap.gateway import default_user, make_gateway
from openalgo_ws.tap.leaders import Leaders
from openalgo_ws.tap.presently import Presently
from openalgo_ws.tap.process import Process, refusals, vault_and_database

__all__ = ["NatsServer"]


class NatsServer(Process):
    """One of the processes that meet on NATS."""

    def __init__(self, reactor: Any, settings: Settings) -> None:
        super().__init__(reactor, settings)
        self._environment = SystemEnvironment()
        self._leaders: Leaders | None = None
        self._unread: Callable[[], int] | None = None
        self._name = f"{socket.gethostname()}.{secrets.token_hex(4)}"
        credentials = settings.nats_credentials
        with refusals(settings):
            texts = settings.endpoints() if settings.role == "gateway" else ()
            self._endpoints = [endpoint(reactor, text) for text in texts]
            self._use(*vault_and_database(settings))
            try:
                self._link = NatsLink(
                    reactor,
                    settings.nats_servers(),
                    name=self._name,
                    credentials=None if credentials is None else str(credentials),
                )
            except WrongReactor as error:
                stop(f"WS_BUS: {error}")
        self._closing.append(self._link.stop)

    def _leave(self) -> None:
        for client in self._demand_clients:
            client.close()

    def _build(self) -> None:
        settings, reactor = self._settings, self._reactor
        self._database.prepare()
        self._accounts = Accounts(reactor, self._database, self._vault)
        self._bus = NatsBus(self._link)
        self._outside = ZmqBus(reactor)
        self._closing += [self._bus.shutdown, self._outside.shutdown]
        self._partitions = Partitions(settings.feed_partitions, settings.feed_plan)
        generation = secrets.token_hex(8)
        remote = [
            RemoteDemand(reactor, gateway=self._name, generation=generation)
            for _ in range(settings.feed_partitions)
        ]
        self._demand_clients = [
            NatsDemandClient(self._link, one, self._partitions.subject(number))
            for number, one in enumerate(remote)
        ]
        self._closing += [client.sent for client in self._demand_clients]
        demand = PartitionedDemand(self._partitions, remote)
        self._gateway = make_gateway(
            reactor,
            settings,
            endpoints=self._endpoints,
            accounts=self._accounts,
            registry=self._registry,
            demand=demand,
            environment=self._environment,
            everybody=default_user(settings, self._database, self._vault),
            invalidate=self._invalidate,
        )
        subscriber = self._bus.subscriber(self._gateway.receive, everything=False)
        self._gateway.router.index.interest = subscriber
        self._gateway.privilegedStartService()
        self._parts = [self._accounts]
        if settings.role == "feeds":
            self._parts += self._feeds()
        self._parts.append(self._gateway)
        if settings.status_port:

            def served() -> bool:
                return any(one.up for one in remote)

            self._parts.append(self._status_port(demand, served, subscriber.intake))
        if settings.proxy_stats_file is not None:
            self._parts.append(ProxyStats(reactor, settings.proxy_stats_file, self._proxy_stats))
        self._parts.append(Supervised(reactor))

    def _feeds(self) -> list[Any]:
        """What a process for the feeds has besides."""
        symbols = SymbolService(self._reactor, self._database, self._registry.load)

        def make(bus: NatsBus) -> FeedSide:
            return feed_side(
                self._reactor,
                self._settings,
                accounts=self._accounts,
                symbols=symbols,
                registry=self._registry,
                bus=bus,
                environment=self._environment,
                urls=self._settings.feed_url,
            )

        def unmake(feeds: FeedSide) -> None:
            if feeds.own is not None:
                symbols.forget(feeds.own.manager.master_changed)

        self._leaders = Leaders(self._link, self._name, self._partitions, make=make, unmake=unmake)
        publisher = self._bus.publisher()
        self._unread = self._outside.subscriber(outside(self._settings), _Forward(publisher)).unread
        return [symbols, self._leaders]

    def _own(self) -> list[OwnFeeds]:
        """The feeds of this process, while it leads."""
        sides = [] if self._leaders is None else self._leaders.feeds()
        return [side.own for side in sides if side.own is not None]

    def _status_port(self, demand: Demand, served: Callable[[], bool], intake: Waiting) -> StatusPort:
        sources = Sources(
            version=__version__,
            gateway=self._gateway,
            pulse=Pulse(self._reactor),
            intake=intake,
            unread=self._unread,
            served=served,
        )
        if self._leaders is not None:
            feeds = Presently(self._own)
            sources = msgspec.structs.replace(sources, feeds=feeds, bus=feeds, meter=feeds, due=feeds.due)
        status = StatusPort(
            self._reactor,
            self._settings,
            sources,
            keys=self._accounts,
            demand=demand,
            now=self._environment.now,
        )
        status.privilegedStartService()  # type: ignore[no-untyped-call]
        return status

    def _proxy_stats(self) -> dict[str, Any]:
        reports = [report for own in self._own() for report in own.manager.account_reports()]
        return proxy_stats(self._gateway.clients(), reports, self._environment.now())

    def _invalidate(self, user: str) -> None:
        """A user's keys or credentials have changed. Every process hears of it through NATS."""
        self._accounts.invalidate(user)
        if self._leaders is not None:
            self._leaders.credentials_changed(user)


class _Forward:
    """Passes on to NATS what publishers outside say."""

    def __init__(self, publisher: NatsPublisher) -> None:
        self._publisher = publisher

    def __call__(self, messages: list[Message]) -> None:
        for topic, payload in messages:
            self._publisher.forward(topic, payload)
