"""The status port with everything behind it, made from the parts of a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService
from twisted.web.server import Request

from openalgo_ws.config import Settings
from openalgo_ws.gateway.protocol import client_address
from openalgo_ws.ops.access import Access
from openalgo_ws.ops.metrics import Metrics
from openalgo_ws.ops.site import status_site
from openalgo_ws.ops.snapshot import readiness, snapshot
from openalgo_ws.ops.sources import Sources
from openalgo_ws.ops.status import StatusServer

__all__ = ["StatusPort"]


class StatusPort(MultiService):
    """Serves the status of ``sources`` as ``settings`` say. ``now`` gives epoch seconds."""

    def __init__(
        self, reactor: Any, settings: Settings, sources: Sources, *, now: Callable[[], float]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        began = reactor.seconds()

        def address(request: Request) -> str:
            peer = str(getattr(request.getClientAddress(), "host", "local"))
            forwarded = request.getHeader("x-forwarded-for") or ""
            return client_address(peer, forwarded, settings.trusted_proxies)

        site = status_site(
            reactor,
            Access(settings.admin_token, now, address),
            ready=lambda: readiness(sources),
            status=lambda: snapshot(sources, reactor.seconds(), began),
            metrics=Metrics(sources).text,
        )
        self.server = StatusServer(reactor, settings.status_host, settings.status_port, site)
        for part in (sources.pulse, sources.probe, self.server):
            if part is not None:
                part.setServiceParent(self)  # type: ignore[no-untyped-call]
