"""A worker process: the side of the clients alone, with the demand and the bus of the feed process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort

from openalgo_ws import __version__
from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.service import Accounts
from openalgo_ws.config import Settings
from openalgo_ws.demo import DEMO_PEPPER
from openalgo_ws.feeds.environment import SystemEnvironment
from openalgo_ws.ops.probe import ProbeEar
from openalgo_ws.ops.pulse import Pulse
from openalgo_ws.ops.sources import Sources
from openalgo_ws.process import stop_reactor
from openalgo_ws.scale.control import Boot
from openalgo_ws.scale.links import WorkerBus
from openalgo_ws.scale.listening import accept
from openalgo_ws.scale.local import LocalDemandClient
from openalgo_ws.scale.member import Member
from openalgo_ws.scale.pipes import PipeBus
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.rings import SCHEME, RingBus
from openalgo_ws.tap.gateway import default_user, make_gateway
from openalgo_ws.tap.process import MemberProcess, vault_and_database

__all__ = ["WorkerServer"]


class WorkerServer(MemberProcess):
    """One of the gateway's processes. It accepts connections when the supervisor says so."""

    def __init__(self, reactor: Any, settings: Settings, boot: Boot) -> None:
        super().__init__(reactor, settings)
        self._boot = boot
        if boot.database is None:
            self._use(*vault_and_database(settings))
        else:
            self._use(Vault(DEMO_PEPPER), Database(boot.database))
        #: Slot → the ports that accept its connections.
        self._ports: dict[int, list[IListeningPort]] = {}

    def _build(self) -> None:
        # Nothing is opened: the supervisor has done that.
        settings, reactor, boot = self._settings, self._reactor, self._boot
        accounts = Accounts(reactor, self._database, self._vault)
        self._demand = RemoteDemand(reactor, gateway=boot.name, generation=boot.generation)
        self._gateway = make_gateway(
            reactor,
            settings,
            endpoints=[],
            accounts=accounts,
            registry=self._registry,
            demand=self._demand,
            environment=SystemEnvironment(),
            everybody=default_user(settings, self._database, self._vault),
            invalidate=accounts.invalidate,
            mirror=True,
        )
        # As the feed process has made it: the settings may have changed since.
        end = RingBus if boot.bus.startswith(SCHEME) else PipeBus
        bus: WorkerBus = end(reactor, boot.bus, self._gateway.receive)
        self._closing.append(bus.close)
        pulse = Pulse(reactor)
        # Publishers outside send no probe.
        probe = ProbeEar(reactor, self._gateway.router) if settings.feeds == "own" else None
        sources = Sources(
            version=__version__, gateway=self._gateway, pulse=pulse, intake=bus.intake, probe=probe
        )
        self._member = Member(
            reactor, sources, listen=self._listen, drain=self._drain, orphaned=self._orphaned
        )
        client = LocalDemandClient(reactor, Path(boot.demand), self._demand)
        parts = (accounts, pulse, self._member, client, self._gateway, probe)
        self._parts = [part for part in parts if part is not None]

    def _started(self) -> None:
        # The supervisor is told as soon as the feed process answers.
        self._demand.when_up().addCallback(lambda _: self._member.ready())

    def _leave(self) -> None:
        self._listen([])

    def _listen(self, slots: list[int]) -> Deferred[Any]:
        """Accept the connections of these slots, and no others; fires when the others are not any more."""
        closing = []
        for slot in self._ports.keys() - set(slots):
            closing += [maybeDeferred(port.stopListening) for port in self._ports.pop(slot)]
        for slot in slots:
            if slot not in self._ports:
                mine = [listener for listener in self._boot.listeners if listener.slot == slot]
                factory = self._gateway.factory
                self._ports[slot] = accept(self._reactor, mine, factory)
                for port in self._ports[slot]:
                    factory.doorway.watch(port)
        return DeferredList(closing)

    def _drain(self) -> None:
        """Accept no more, send the clients away, and end."""
        self.log.info("clients are sent to other workers")
        self._listen([])
        stop_reactor(self._reactor)
