"""A worker's side of the supervisor's stream: what it is told, and what it tells of itself."""

from __future__ import annotations

import os
import socket
from collections import Counter as Count
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import ProcessCollector
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall

from openalgo_ws.gateway.limits import Counter
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.ops.metrics import server_metrics
from openalgo_ws.ops.reports import Report, families
from openalgo_ws.ops.snapshot import clients_of
from openalgo_ws.ops.sources import Sources
from openalgo_ws.scale import control as c
from openalgo_ws.scale.local import Frames

__all__ = ["Member", "SharedLimits", "Stream", "make_report"]

#: Seconds between two reports, and for which changes of what is limited are collected.
_REPORT, _TELL = 1.0, 0.02
#: Clients that one report lists.
_CLIENTS = 100


class SharedLimits:
    """Makes limits of a gateway those of all workers together: each tells the others what it has.

    They learn of it within a moment. So a user who connects to all workers in the same moment may get a
    connection more than allowed with each.
    """

    def __init__(self, reactor: Any, gateway: Gateway, tell: Callable[[c.Counted], None]) -> None:
        self._reactor = reactor
        self._gateway = gateway
        self._tell = tell
        self._changed: dict[tuple[str, str], None] = {}
        self._call: IDelayedCall | None = None
        self._connections = 0
        context = gateway.context
        self._kinds: dict[str, Counter[str]] = {"address": context.by_address, "user": context.by_user}
        #: Kind → what others have, by worker.
        self._others: dict[str, dict[str, dict[str, int]]] = {}
        for kind, counter in self._kinds.items():
            counter.changed = lambda key, kind=kind: self._note(kind, key)  # type: ignore[misc]
        context.failures.failed = lambda address: tell(c.Counted("failure", address, 1))

    def stop(self) -> None:
        """End the timer."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def connections(self) -> None:
        """Tell of the number of clients, if it is another one."""
        count = len(self._gateway.factory.clients)
        if count != self._connections:
            self._connections = count
            self._tell(c.Counted("connections", "", count))

    def others(self, message: c.Counted) -> None:
        """Another worker has so many of something."""
        if message.kind == "failure":
            self._gateway.context.failures.note(message.key, self._reactor.seconds())
            return
        theirs = self._others.setdefault(message.kind, {}).setdefault(message.name, {})
        if message.count:
            theirs[message.key] = message.count
        else:
            theirs.pop(message.key, None)
        self._add_up(message.kind, message.key)

    def forget(self, name: str) -> None:
        """Another worker is gone."""
        for kind, workers in self._others.items():
            for key in workers.pop(name, {}):
                self._add_up(kind, key)

    def _add_up(self, kind: str, key: str) -> None:
        total = sum(theirs.get(key, 0) for theirs in self._others[kind].values())
        if kind == "connections":
            self._gateway.context.elsewhere = total
            return
        elsewhere = self._kinds[kind].elsewhere
        if total:
            elsewhere[key] = total
        else:
            elsewhere.pop(key, None)

    def _note(self, kind: str, key: str) -> None:
        self._changed[kind, key] = None
        if self._call is None:
            self._call = self._reactor.callLater(_TELL, self._tell_changed)

    def _tell_changed(self) -> None:
        self._call = None
        changed, self._changed = self._changed, {}
        for kind, key in changed:
            self._tell(c.Counted(kind, key, self._kinds[kind].held(key)))
        self.connections()


def make_report(sources: Sources, now: float) -> Report:
    """How a worker is; ``now`` is the reactor's time."""
    gateway = sources.gateway
    process = ProcessCollector(namespace="openalgo_ws_worker", registry=None)
    status = gateway.status()
    status |= {
        "deliveries": sources.deliveries(),
        "encoded": sources.encoded(),
        "bytes_sent": sources.bytes_sent(),
        "outboxes": sources.outboxes(),
        "loop_lag_ms": sources.pulse.worst() * 1000,
    }
    return Report(
        pid=os.getpid(),
        metrics=families([*server_metrics(sources), *process.collect()]),
        status=status,
        clients=clients_of(sources, now, _CLIENTS),
        brokers=sorted(Count(session.broker for session in gateway.clients() if session.broker)),
    )


class _Frames(Frames):
    def __init__(self, owner: Stream) -> None:
        self._owner = owner

    def stringReceived(self, string: bytes) -> None:
        self._owner.received(string)

    def connectionLost(self, reason: Any = None) -> None:
        self._owner.frames = None
        self._owner.lost()


class Stream(Factory):
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


class Member(Service):
    """See the module. ``listen`` is called with the slots whose connections to accept, ``drain`` when the
    worker is to go, ``orphaned`` when there is no supervisor any more."""

    name = "member"

    def __init__(
        self,
        reactor: Any,
        sources: Sources,
        *,
        listen: Callable[[list[int]], object],
        drain: Callable[[], None],
        orphaned: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._sources = sources
        self._stream = Stream(reactor, self.received, self.lost)
        self._actions: Mapping[type, Callable[[Any], object]] = {
            c.Listen: lambda message: listen(message.slots),
            c.Drain: lambda message: drain(),
            c.Counted: lambda message: self._limits.others(message),
            c.Notice: lambda message: sources.gateway.notify(message.users, message.notice),
            c.Forget: lambda message: self._limits.forget(message.name),
        }
        self._orphaned = orphaned
        self._limits = SharedLimits(reactor, sources.gateway, self.tell)
        self._loop = LoopingCall(self._report)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Take up the stream."""
        super().startService()  # type: ignore[no-untyped-call]
        self._stream.open()

    def stopService(self) -> None:
        """Report a last time, and let the stream go."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._limits.stop()
        if self._loop.running:
            self._report()
            self._loop.stop()

    def ready(self) -> None:
        """Tell that clients can be served, and report from now on."""
        self._report()
        self.tell(c.Ready())
        self._loop.start(_REPORT, now=False)

    def tell(self, message: c.FromWorker) -> None:
        """Tell the supervisor something."""
        self._stream.tell(message)

    def received(self, data: bytes) -> None:
        """From the stream: a message."""
        message = c.decode_from_supervisor(data)
        self._actions[type(message)](message)

    def lost(self) -> None:
        """From the stream: it has ended."""
        if self.running:
            self._orphaned()

    def _report(self) -> None:
        self._limits.connections()
        self.tell(c.Reported(make_report(self._sources, self._reactor.seconds())))
