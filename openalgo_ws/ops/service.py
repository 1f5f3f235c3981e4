"""The status port with everything behind it, made from the parts of a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import globalLogPublisher
from twisted.web.server import Request

from openalgo_ws.bus.demand import Demand
from openalgo_ws.config import Settings
from openalgo_ws.gateway.protocol import client_address
from openalgo_ws.ops.access import Access
from openalgo_ws.ops.alert_watch import AlertWatch
from openalgo_ws.ops.busiest import Busiest
from openalgo_ws.ops.events import EventLog
from openalgo_ws.ops.history import History
from openalgo_ws.ops.live import LiveFactory
from openalgo_ws.ops.metrics import Metrics
from openalgo_ws.ops.openalgo import Keys, user_names, websocket_config, websocket_key
from openalgo_ws.ops.site import Contents, status_site
from openalgo_ws.ops.snapshot import readiness, snapshot
from openalgo_ws.ops.sources import Sources
from openalgo_ws.ops.status import StatusServer

__all__ = ["StatusPort"]


class StatusPort(MultiService):
    """Serves the status of ``sources`` as ``settings`` say. ``now`` gives epoch seconds. Samples are taken by
    ``clock``, where that isn't the reactor."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        sources: Sources,
        *,
        keys: Keys,
        demand: Demand,
        now: Callable[[], float],
        clock: IReactorTime | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        began = reactor.seconds()
        access = Access(settings.admin_token, now, _address_behind(settings))
        clock = clock or reactor
        self.history = History(clock, sources, now)
        self.events = EventLog(globalLogPublisher, now)
        demand.listen(self.events)

        watch = AlertWatch(reactor, settings, sources, self.history, now, clock)
        self.monitor = watch.monitor

        def status() -> dict[str, Any]:
            shown = snapshot(sources, reactor.seconds(), began)
            return {**shown, "alerts": msgspec.to_builtins(watch.alerts.active())}

        async def config(request: Request) -> tuple[int, Any]:
            port = sources.port() or settings.websocket_port
            secure = settings.endpoints()[0].startswith("ssl:")
            return 200, websocket_config(request, settings.websocket_url, port, secure)

        self._live = LiveFactory(
            sources.gateway.context,
            # A demo's prices are made up.
            trusting=access.has_token or settings.demo,
            status=status,
            history=self.history,
            events=self.events,
            busiest=Busiest(reactor, sources.gateway.router.index.lines),
        )
        watch.tell(self._live, self.events)
        contents = Contents(
            ready=lambda: readiness(sources),
            status=status,
            metrics=Metrics(sources, watch.alerts, watch.webhook).text,
            users=lambda request: user_names(access, keys),
            websocket_config=config,
            websocket_key=lambda request: websocket_key(request, access, keys),
            live=self._live,
        )
        site = status_site(reactor, access, contents)
        self.server = StatusServer(reactor, settings.status_host, settings.status_port, site)
        for part in (sources.pulse, sources.probe, watch.webhook, self.history, self.events, self.server):
            if part is not None:
                part.setServiceParent(self)  # type: ignore[no-untyped-call]

    def stopService(self) -> Deferred[Any]:
        """Close the port, and send the open pages away."""
        stopping = super().stopService()  # type: ignore[no-untyped-call]
        return DeferredList([stopping, self._live.stop()])


def _address_behind(settings: Settings) -> Callable[[Request], str]:
    def address(request: Request) -> str:
        peer = str(getattr(request.getClientAddress(), "host", "local"))
        forwarded = request.getHeader("x-forwarded-for") or ""
        return client_address(peer, forwarded, settings.trusted_proxies)

    return address
