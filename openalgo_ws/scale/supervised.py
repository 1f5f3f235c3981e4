"""A child process's side of the supervisor's stream: it says that it is ready, and how it is."""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall

from openalgo_ws.ops.reports import Report
from openalgo_ws.scale import control as c
from openalgo_ws.scale.local import Frames

__all__ = ["Supervised"]

#: Seconds between two reports.
_REPORT = 1.0


class _Frames(Frames):
    def __init__(self, owner: _Stream) -> None:
        self._owner = owner

    def stringReceived(self, string: bytes) -> None:
        self._owner.received(string)

    def connectionLost(self, reason: Any = None) -> None:
        self._owner.frames = None
        self._owner.lost()


class _Stream(Factory):
    """The stream to the supervisor that this process was born with."""

    noisy = False

    def __init__(self, reactor: Any, received: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._reactor = reactor
        self.received = received
        self.lost = lost
        self.frames: _Frames | None = None

    def open(self) -> None:
        """Take it up."""
        with socket.socket(fileno=c.CONTROL_FD) as stream:
            stream.setblocking(False)
            self._reactor.adoptStreamConnection(stream.fileno(), socket.AF_UNIX, self)

    def buildProtocol(self, addr: Any) -> _Frames:
        """The two ends of it."""
        self.frames = _Frames(self)
        return self.frames

    def tell(self, message: c.FromWorker) -> None:
        """Tell the supervisor something, if there is one."""
        if self.frames is not None:
            self.frames.send(c.encode(message))


class Supervised(Service, ABC):
    """``orphaned`` is called when there is no supervisor any more."""

    name = "member"

    def __init__(self, reactor: Any, orphaned: Callable[[], None]) -> None:
        self._orphaned = orphaned
        self._stream = _Stream(reactor, self.received, self.lost)
        self._loop = LoopingCall(self.report)
        self._loop.clock = reactor

    @abstractmethod
    def told(self, message: c.FromSupervisor) -> None:
        """The supervisor said something."""

    @abstractmethod
    def make_report(self) -> Report:
        """How this process is."""

    def startService(self) -> None:
        """Take up the stream."""
        super().startService()  # type: ignore[no-untyped-call]
        self._stream.open()

    def stopService(self) -> None:
        """Report a last time, and let the stream go."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self.report()
            self._loop.stop()

    def ready(self) -> None:
        """Tell that this process can do its work, and report from now on."""
        self.report()
        self.tell(c.Ready())
        self._loop.start(_REPORT, now=False)

    def tell(self, message: c.FromWorker) -> None:
        """Tell the supervisor something."""
        self._stream.tell(message)

    def report(self) -> None:
        """Tell the supervisor how this process is."""
        self.tell(c.Reported(self.make_report()))

    def received(self, data: bytes) -> None:
        """From the stream: a message."""
        self.told(c.decode_from_supervisor(data))

    def lost(self) -> None:
        """From the stream: it has ended."""
        if self.running:
            self._orphaned()
