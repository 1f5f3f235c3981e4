"""A feed shard: the side of the feeds alone, for the instruments that it owns."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from zope.interface import implementer

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.service import Accounts
from openalgo_ws.bus.zeromq import BusEndpoint, Publisher, ZmqBus
from openalgo_ws.config import Settings
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.ops.metrics import loop_metric
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.reports import Report, families
from openalgo_ws.process import calm_collector, end_cleanly_on_signals, stop_reactor
from openalgo_ws.registry import Registry
from openalgo_ws.scale.control import Boot
from openalgo_ws.scale.local import LocalDemandServer
from openalgo_ws.scale.server import DemandServer
from openalgo_ws.scale.sharded_feeds import fed
from openalgo_ws.scale.shards import ShardMember
from openalgo_ws.symbols.service import SymbolService
from openalgo_ws.tap.feeds import feed_side

__all__ = ["ShardServer"]

#: The whole shard is down within this time (seconds); the supervisor does not wait longer.
_SHUTDOWN = 3.0


@implementer(IService)
class ShardServer(Service):
    """One of the feed processes, but for the first."""

    log = Logger()
    name = "server"

    def __init__(self, reactor: Any, settings: Settings, boot: Boot) -> None:
        self._reactor = reactor
        self._settings = replace(settings, feed_shards=boot.shards)
        self._boot = boot
        salt = settings.fernet_salt
        self._vault = Vault(settings.pepper(), None if salt is None else salt.reveal())
        self._database = Database(settings.database_url.reveal())

    def privilegedStartService(self) -> None:
        """Make everything; the demand's socket is opened last."""
        settings, reactor = self._settings, self._reactor
        registry = Registry()
        accounts = Accounts(reactor, self._database, self._vault)
        symbols = SymbolService(reactor, self._database, registry.load)
        self._bus = ZmqBus(reactor)
        feeds = feed_side(
            reactor,
            settings,
            accounts=accounts,
            symbols=symbols,
            registry=registry,
            bus=self._bus,
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
        self._parts = [accounts, symbols, *feeds.parts(), pulse, self._member, listening]

    def startService(self) -> None:
        """Begin."""
        super().startService()  # type: ignore[no-untyped-call]
        self._database.start()
        end_cleanly_on_signals(self._reactor, alone=False)
        for part in self._parts:
            part.startService()
        calm_collector()
        self._member.ready()

    def stopService(self) -> Deferred[None]:
        """Leave the brokers and close everything, within a few seconds."""
        super().stopService()  # type: ignore[no-untyped-call]
        stopping = Deferred.fromCoroutine(self._stop())
        return stopping.addTimeout(_SHUTDOWN, self._reactor, onTimeoutCancel=lambda result, timeout: None)

    async def _stop(self) -> None:
        for part in reversed(self._parts):
            await maybeDeferred(part.stopService)
        self._bus.shutdown()
        self._database.stop()

    def _drain(self) -> None:
        self.log.info("another process takes over")
        stop_reactor(self._reactor)

    def _orphaned(self) -> None:
        self.log.error("the server is gone")
        stop_reactor(self._reactor)
