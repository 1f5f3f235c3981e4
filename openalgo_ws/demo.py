"""``--demo``: a simulated Zerodha, a user and a database, all inside this process and on loopback.

Everything between the simulated broker and the client is the real thing: Kite's protocol on a real
socket, the adapter, the bus, the gateway.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from time import time
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import add_user, login
from openalgo_ws.registry import Registry
from openalgo_ws.simulator.environment import SimulatedEnvironment
from openalgo_ws.simulator.exchange import Exchange
from openalgo_ws.simulator.server import SimulatedBroker
from openalgo_ws.simulator.universe import localise, universe
from openalgo_ws.symbols.store import replace

__all__ = ["BROKER", "DEMO_KEY", "DEMO_PEPPER", "DEMO_USER", "Demo"]

BROKER = "zerodha"
DEMO_USER = "demo"
#: The key of the demo's user. It opens nothing but a simulated exchange on this machine.
DEMO_KEY = "openalgo-ws-demo-key"
#: Protects the demo's database, which holds nothing that needs it.
DEMO_PEPPER = "the demo's pepper is known to everybody"

_INSTRUMENTS = 2_000
#: Ticks a second over all instruments. The well-known ones get half of them: five each, as on a day when much
#: is traded; the others tick every four seconds.
_RATE = 1_000.0
_WELL_KNOWN = 100


class Demo(Service):
    """The simulated broker, and a database that lasts as long as the process."""

    name = "demo"

    def __init__(self, reactor: Any, registry: Registry) -> None:
        adapter = registry.load(BROKER)
        environment = SimulatedEnvironment(reactor, start=time() - reactor.seconds())
        listings = localise(universe(_INSTRUMENTS, environment.today()), adapter)
        assert adapter.simulator is not None
        self._adapter = adapter
        self._rows = [listing.row for listing in listings]
        self._folder = Path(tempfile.mkdtemp(prefix="openalgo-ws-demo-"))
        self.broker = SimulatedBroker(
            adapter.simulator,
            Exchange(listings, environment.now, busy=_WELL_KNOWN),
            reactor,
            environment,
            rate=_RATE,
        )
        self.database_url = f"sqlite:///{self._folder}/demo.db"
        self.database = Database(self.database_url)

    def privilegedStartService(self) -> None:
        """Open the simulated broker, and fill the database with its user and instruments."""
        self.broker.listen()
        vault = Vault(DEMO_PEPPER)
        self.database.prepare()
        self.database.call(lambda connection: replace(connection, BROKER, self._rows))
        columns = self._adapter.row_for(self.broker.credentials)

        def fill(connection: Any) -> None:
            add_user(connection, vault, DEMO_USER, BROKER, key=DEMO_KEY)
            login(connection, vault, DEMO_USER, BROKER, columns)

        self.database.call(fill)

    def stopService(self) -> Deferred[None]:
        """Close the broker. The database goes with `clean`, when nobody uses it any more."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self.broker.stop())

    def clean(self) -> None:
        """Remove the database."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def welcome(addresses: str, watch: str, page: str | None) -> str:
        """What a newcomer reads on the terminal."""
        shown = [] if page is None else [f"  status page          {page}"]
        return "\n".join(
            (
                "",
                "openalgo-ws is up, with a simulated exchange behind it.",
                f"  clients connect to   {addresses}",
                f"  API key              {DEMO_KEY}",
                *shown,
                "",
                "To see live ticks, paste this into another shell:",
                f"  {watch}",
                "",
            )
        )
