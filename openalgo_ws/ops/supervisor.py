"""What systemd is told: that the server is ready, that it still turns, that it stops.

The protocol is one datagram a message to the socket that NOTIFY_SOCKET names (sd_notify(3)). The
watchdog is fed by the reactor itself: whatever holds the reactor up starves it, and systemd puts an
end to a server that is there but no longer serves.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from openalgo_ws.log import RateLimitedLog

__all__ = ["Supervised", "notify_address", "watchdog_seconds"]

#: A socket that can't be reached stays so for a while; one line an hour is enough.
_REPEAT = 3600.0


def notify_address(environ: Mapping[str, str], pid: int) -> str | None:
    """Where to send, as `socket.connect` wants it; None if nobody asked this process.

    A child inherits the variables of a service whose main process it is not; what it would say is not
    true of the service.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    main = environ.get("SYSTEMD_EXEC_PID")
    if main is not None and main != str(pid):
        return None
    if address.startswith("@"):
        return "\0" + address[1:]
    return address if address.startswith("/") else None


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How long the watchdog waits for a sign of life (seconds); None if there is none for this process."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    text = environ.get("WATCHDOG_USEC", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        return None
    return int(text) / 1e6 or None


class Supervised(Service):
    """Tells systemd about the server. Without a socket to tell, it does nothing.

    To be started after everything that is to be ready, and stopped before it.
    """

    name = "supervised"

    def __init__(self, reactor: Any, environ: Mapping[str, str] = os.environ) -> None:
        pid = os.getpid()
        self._reactor = reactor
        self._address = notify_address(environ, pid)
        self._watchdog = watchdog_seconds(environ, pid)
        self._socket: socket.socket | None = None
        self._loop = LoopingCall(self._tell, "WATCHDOG=1")
        self._loop.clock = reactor
        self._warn = RateLimitedLog(Logger(), reactor, interval=_REPEAT)

    def startService(self) -> None:
        """Say that the server is ready, as soon as the reactor runs; feed the watchdog from then on."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # A supervisor that doesn't read must not hold the reactor up.
            self._socket.setblocking(False)
            self._reactor.callWhenRunning(self._ready)

    def stopService(self) -> None:
        """Say that the server stops."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()
        self._tell("STOPPING=1")
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ready(self) -> None:
        self._tell("READY=1")
        # It may have been stopped before the reactor ran.
        if self._socket is not None and self._watchdog is not None:
            # Twice as often as asked, as the manual advises.
            self._loop.start(self._watchdog / 2)

    def _tell(self, message: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto(message.encode(), self._address)
        except OSError as error:
            self._warn.warn("systemd can't be told {message}: {error}", message=message, error=error.strerror)
