"""The status port as a service."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.web.server import Site

__all__ = ["StatusServer"]


class StatusServer(Service):
    """Serves a site; a port in use raises when it is opened."""

    name = "status"

    def __init__(self, reactor: Any, host: str, port: int, site: Site) -> None:
        self._reactor = reactor
        self._host = host
        self._wanted = port
        self._site = site
        self._port: IListeningPort | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._port is not None
        return int(self._port.getHost().port)  # type: ignore[attr-defined]

    def privilegedStartService(self) -> None:
        """Open the port."""
        self._port = self._reactor.listenTCP(self._wanted, self._site, interface=self._host)

    def stopService(self) -> Deferred[None]:
        """Close the port."""
        super().stopService()  # type: ignore[no-untyped-call]
        port, self._port = self._port, None
        stopping = None if port is None else port.stopListening()
        return succeed(None) if stopping is None else stopping
