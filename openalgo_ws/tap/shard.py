"""A feed shard: the side of the feeds alone, for the instruments that it owns."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

from openalgo_ws.accounts.service import Accounts
from openalgo_ws.bus.zeromq import Publisher, ZmqBus
from openalgo_ws.bus.zmq_socket import BusEndpoint
from openalgo_ws.config import Settings
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.ops.metrics import loop_metric
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.reports import Report, families
from openalgo_ws.process import stop_reactor
from openalgo_ws.scale.control import Boot
from openalgo_ws.scale.local import LocalDemandServer
from openalgo_ws.scale.server import DemandServer
from openalgo_ws.scale.sharded_feeds import fed
from openalgo_ws.scale.shards import ShardMember
from openalgo_ws.symbols.service import SymbolService
from openalgo_ws.tap.feeds import feed_side
from openalgo_ws.tap.process import MemberProcess, vault_and_database

__all__ = ["ShardServer"]


class ShardServer(MemberProcess):
    """One of the feed processes, but for the first."""

    def __init__(self, reactor: Any, settings: Settings, boot: Boot) -> None:
        super().__init__(reactor, replace(settings, feed_shards=boot.shards))
        self._boot = boot
        self._use(*vault_and_database(settings))

    def _build(self) -> None:
        settings, reactor = self._settings, self._reactor
        accounts = Accounts(reactor, self._database, self._vault)
        symbols = SymbolService(reactor, self._database, self._registry.load)
        bus = ZmqBus(reactor)
        self._closing.append(bus.shutdown)
        feeds = feed_side(
            reactor,
            settings,
            accounts=accounts,
            symbols=symbols,
            registry=self._registry,
            bus=bus,
            environment=SystemEnvironment(),
            urls=settings.feed_url,
        )
        own = feeds.own
        assert own is not None, "shards have feeds of their own"
        assert isinstance(own.publisher, Publisher), "shards publish on ZeroMQ"
        own.publisher.attach([BusEndpoint(self._boot.bus, bind=False)])
        pulse = Pulse(reactor)

        def report() -> Report:
            manager = own.manager
            return Report(
                pid=os.getpid(),
                metrics=families([loop_metric(pulse)]),
                status={"loop_lag_ms": pulse.worst() * 1000},
                accounts=manager.account_reports(),
                feeds=manager.feed_reports(),
                fed=fed(manager, own.meter, own.publisher),
                backlog=own.publisher.backlog(),
                due=sorted(own.stale.due()),
            )

        def invalidate(user: str) -> None:
            accounts.invalidate(user)
            feeds.credentials_changed(user)

        self._member = ShardMember(
            reactor, report=report, invalidate=invalidate, drain=self._drain, orphaned=self._orphaned
        )
        server = DemandServer(reactor, feeds.demand, generation=secrets.token_hex(8))
        listening = LocalDemandServer(reactor, Path(self._boot.demand), server)
        # What is served is there when its socket is.
        self._parts = [accounts, symbols, *feeds.parts(), pulse, self._member, listening]

    def _started(self) -> None:
        self._member.ready()

    def _drain(self) -> None:
        self.log.info("another process takes over")
        stop_reactor(self._reactor)
