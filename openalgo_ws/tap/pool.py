"""What the process of the feeds has besides, where worker processes serve the clients."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.logger import Logger

from openalgo_ws.bus.demand import Demand
from openalgo_ws.bus.intake import Message
from openalgo_ws.config import Settings
from openalgo_ws.gateway.listen import endpoint
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.ops.proxy_stats import Elsewhere
from openalgo_ws.scale.fanout import Fanout, LastValues
from openalgo_ws.scale.listening import bind
from openalgo_ws.scale.local import LocalDemandServer
from openalgo_ws.scale.pipes import Pipes
from openalgo_ws.scale.private import private_folder
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.rings import Rings
from openalgo_ws.scale.server import DemandServer
from openalgo_ws.scale.supervisor import Supervisor
from openalgo_ws.scale.workers import Launcher

__all__ = ["Pool"]


class Pool:
    """The workers of a server, and all they are connected to.

    Opens the ports: EndpointError or `openalgo_ws.scale.listening.CannotBind` where one can't be had.
    """

    log = Logger()

    def __init__(self, reactor: Any, settings: Settings, *, arguments: Sequence[str]) -> None:
        self._reactor = reactor
        self._settings = settings
        self._arguments = arguments
        self._generation = secrets.token_hex(8)
        self._sockets: dict[str, list[socket.socket]] = {}
        with ExitStack() as opened:
            # For this user alone.
            self._folder = private_folder("openalgo-ws-")
            opened.callback(shutil.rmtree, self._folder, ignore_errors=True)
            for text in settings.endpoints():
                # A certificate that can't be read is found before a worker needs it.
                endpoint(reactor, text)
                self._sockets[text] = bind(text, settings.workers)
                for one in self._sockets[text]:
                    opened.callback(one.close)
            shared = settings.chosen_bus() == "shm"
            self._fanout = Fanout(
                Rings(reactor, slots=settings.disruptor_buffer_size)
                if shared
                else Pipes(reactor, self._folder)
            )
            opened.callback(self._fanout.shutdown)
            self._opened = opened.pop_all()
        #: The demand of the gateway that serves the status page: that of one more worker.
        self.demand = RemoteDemand(reactor, gateway="here", generation=self._generation)

    def wire(
        self,
        demand: Demand,
        gateway: Gateway,
        *,
        relay: Callable[[str], None],
        began: Callable[[], None],
        database: str | None,
    ) -> list[Any]:
        """The services, in the order in which they are to be started. ``demand`` is that of the feeds;
        for ``relay`` and ``database`` see `Launcher`; ``began`` is called when all workers serve."""
        self._gateway = gateway
        self._last_values = LastValues(self._reactor, gateway.router, self._fanout.links.get)
        self._opened.callback(self._last_values.stop)
        server = DemandServer(self._reactor, demand, generation=self._generation, observer=self._last_values)
        channel = server.connected(self.demand.received, self.demand.lost)
        assert channel is not None
        self.demand.connected(channel.received, channel.lost)
        path = self._folder / "demand"
        listening = LocalDemandServer(self._reactor, path, server)
        listening.privilegedStartService()
        launch = Launcher(
            self._reactor,
            options=self._arguments,
            environ=os.environ,
            sockets=self._sockets,
            generation=self._generation,
            demand=str(path),
            relay=relay,
            database=database,
        )

        def serving() -> None:
            where = ", ".join(str(_address(one[0])) for one in self._sockets.values())
            count = self._settings.workers
            self.log.info("{count} workers are listening on {where}", count=count, where=where)
            began()

        self.supervisor = Supervisor(
            self._reactor,
            self._settings.workers,
            launch=launch,
            links=self._fanout,
            address=self._fanout.address,
            began=serving,
            port=next(iter(self._sockets.values()))[0].getsockname()[1],
        )
        return [listening, self.supervisor]

    def receive(self, messages: list[Message]) -> Any:
        """What came from the bus: to the workers, and to the status page."""
        self._fanout.receive(messages)
        return self._gateway.receive(messages)

    def served(self) -> Elsewhere:
        """What the workers serve."""
        reports = self.supervisor.reports
        return Elsewhere(
            reports.total("clients"),
            self._last_values.symbols(),
            {broker for report in reports.latest.values() for broker in report.brokers},
        )

    def leave(self) -> None:
        """The server begins to stop."""
        self.demand.leave()
        self.supervisor.leave()

    def close(self) -> None:
        """Close what is no service."""
        self._opened.close()


def _address(listening: socket.socket) -> IPv4Address | IPv6Address:
    host, port = listening.getsockname()[:2]
    kind = IPv6Address if listening.family == socket.AF_INET6 else IPv4Address
    return kind("TCP", host, port)
