"""The status port: is the server there, are its feeds, and what has it done. On loopback only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

__all__ = ["StatusServer", "status_site"]


class _Json(Resource):
    """A resource that shows what a function returns; 503 where ``ok`` is in it and false."""

    isLeaf = True

    def __init__(self, read: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._read = read

    def render_GET(self, request: Request) -> bytes:
        """The status as JSON."""
        shown = self._read()
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        if not shown.get("ok", True):
            request.setResponseCode(503)
        return msgspec.json.encode(shown) + b"\n"


def status_site(
    reactor: Any, status: Callable[[], Mapping[str, Any]], ready: Callable[[], Mapping[str, Any]]
) -> Site:
    """``/healthz`` (the process answers), ``/readyz`` (it can serve) and ``/api/status``."""
    root = Resource()
    api = Resource()
    root.putChild(b"healthz", _Json(lambda: {"ok": True}))
    root.putChild(b"readyz", _Json(ready))
    root.putChild(b"api", api)
    api.putChild(b"status", _Json(status))
    site = Site(root, reactor=reactor)
    site.displayTracebacks = False
    site.noisy = False
    return site


class StatusServer(Service):
    """Serves a site on loopback; a port in use raises when it is opened."""

    name = "status"

    def __init__(self, reactor: Any, port: int, site: Site) -> None:
        self._reactor = reactor
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
        self._port = self._reactor.listenTCP(self._wanted, self._site, interface="127.0.0.1")

    def stopService(self) -> Deferred[None]:
        """Close the port."""
        super().stopService()  # type: ignore[no-untyped-call]
        port, self._port = self._port, None
        stopping = None if port is None else port.stopListening()
        return succeed(None) if stopping is None else stopping
