"""The gateway in a thread of this process, with a reactor of its own (crochet)."""

from __future__ import annotations

from typing import Any

import crochet

from openalgo_ws.config import Settings
from openalgo_ws.feeds.environment import make_steady
from openalgo_ws.integrations.proxy import GatewayFailed
from openalgo_ws.tap import Server

__all__ = ["ThreadGateway"]

#: Seconds to open the database and the ports, and to close them.
_PATIENCE = 30.0


class ThreadGateway:
    """A server of these settings on crochet's reactor.

    Crochet stops that reactor when the main thread ends, and the server stops with it. What it logs
    goes to the standard library's logging under the name ``twisted``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: Server | None = None
        self._trigger: Any = None

    def start(self) -> None:
        from twisted.internet import reactor

        running: Any = reactor
        if not running.running and not running.getDelayedCalls():
            make_steady(running)
        crochet.setup()
        try:
            crochet.run_in_reactor(self._start)(running).wait(_PATIENCE)
        except SystemExit as error:
            # What ends a server that is a program of its own must not end the one that it is part of.
            raise GatewayFailed(str(error.code).removeprefix("openalgo-ws: ")) from None
        except (crochet.TimeoutError, crochet.ReactorStopped):
            raise GatewayFailed("the reactor does not run") from None

    def stop(self) -> None:
        from twisted.internet import reactor

        try:
            crochet.run_in_reactor(self._stop)(reactor).wait(_PATIENCE)
        except crochet.ReactorStopped:
            # The main thread has ended, and the server with it.
            return

    def _start(self, reactor: Any) -> None:
        server = Server(reactor, self._settings)
        server.privilegedStartService()
        server.startService()
        self._server = server
        self._trigger = reactor.addSystemEventTrigger("before", "shutdown", server.stopService)

    def _stop(self, reactor: Any) -> Any:
        server, self._server = self._server, None
        if server is None:
            return None
        reactor.removeSystemEventTrigger(self._trigger)
        return server.stopService()
