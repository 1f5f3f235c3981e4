"""A worker's side of the supervisor's stream: what it is told, and what it tells of itself."""

from __future__ import annotations

import os
from collections import Counter as Count
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import ProcessCollector
from twisted.internet.interfaces import IDelayedCall

from openalgo_ws.gateway.limits import Counter
from openalgo_ws.gateway.service import Gateway
from openalgo_ws.ops.metrics import server_metrics
from openalgo_ws.ops.reports import Report, families
from openalgo_ws.ops.snapshot import clients_of
from openalgo_ws.ops.sources import Sources
from openalgo_ws.scale import control as c
from openalgo_ws.scale.supervised import Supervised

__all__ = ["Member", "SharedLimits", "make_report"]

#: Seconds for which changes of what is limited are collected.
_TELL = 0.02
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


class Member(Supervised):
    """See the module. ``listen`` is called with the slots whose connections to accept, ``drain`` when the
    worker is to go, ``orphaned`` when there is no supervisor any more."""

    def __init__(
        self,
        reactor: Any,
        sources: Sources,
        *,
        listen: Callable[[list[int]], object],
        drain: Callable[[], None],
        orphaned: Callable[[], None],
    ) -> None:
        super().__init__(reactor, orphaned)
        self._reactor = reactor
        self._sources = sources
        self._actions: Mapping[type, Callable[[Any], object]] = {
            c.Listen: lambda message: listen(message.slots),
            c.Drain: lambda message: drain(),
            c.Counted: lambda message: self._limits.others(message),
            c.Notice: lambda message: sources.gateway.notify(message.users, message.notice),
            c.Forget: lambda message: self._limits.forget(message.name),
        }
        self._limits = SharedLimits(reactor, sources.gateway, self.tell)

    def stopService(self) -> None:
        """Report a last time, and let the stream go."""
        self._limits.stop()
        super().stopService()

    def told(self, message: c.FromSupervisor) -> None:
        """The supervisor said something."""
        self._actions[type(message)](message)

    def report(self) -> None:
        """Tell the supervisor how this worker is, after how many are connected."""
        self._limits.connections()
        super().report()

    def make_report(self) -> Report:
        """How this worker is."""
        return make_report(self._sources, self._reactor.seconds())
