"""Feed shards: several processes that speak to brokers, each for the instruments that it owns.

The server's own process is the first of them, and the one that everybody else knows: it has the public
bus, and the others publish into it. A shard that dies is replaced; what is held of it is asked for anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from openalgo_ws.bus.demand import Demand, Denied, Granted, Want
from openalgo_ws.feeds.report import AccountReport
from openalgo_ws.ops.reports import Report
from openalgo_ws.ops.sources import Backlog, Counts, Feeds
from openalgo_ws.scale import control as c
from openalgo_ws.scale.local import LocalDemandClient
from openalgo_ws.scale.member import Stream
from openalgo_ws.scale.private import private_folder
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.sharded import ShardedDemand
from openalgo_ws.scale.sharded_feeds import ShardedFeeds
from openalgo_ws.scale.supervisor import Supervisor
from openalgo_ws.scale.workers import Launcher, Worker

__all__ = ["ShardMember", "Shards"]

#: How long the first subscribe waits for a shard that is starting (seconds).
_STARTING = 20.0
#: Seconds between two reports of a shard.
_REPORT = 1.0


class _ShardDemand(RemoteDemand):
    """A shard's demand. Who asks while the shard starts for the first time, waits for it."""

    _began = False

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        if self._began or self.up:
            self._began = True
            return super().subscribe(user, wants)
        up = self.when_up().addTimeout(_STARTING, self._clock, onTimeoutCancel=lambda result, timeout: None)

        def begin(_: None) -> Deferred[list[Granted | Denied]]:
            self._began = True
            return super(_ShardDemand, self).subscribe(user, wants)

        return up.addCallback(begin)


class _NoLinks:
    """Shards have no way from the bus: they publish."""

    def __init__(self) -> None:
        self.links: dict[str, Any] = {}

    def add(self, name: str, address: str) -> None: ...

    def remove(self, name: str) -> None: ...


class _Launcher(Launcher):
    def __init__(self, folder: Path, reactor: Any, **more: Any) -> None:
        super().__init__(reactor, sockets={}, demand="", **more)
        self._folder = folder

    def boot(self, worker: Worker, address: str, listeners: list[c.Listener]) -> c.Boot:
        shard = worker.slot + 1
        path = _socket(self._folder, shard)
        # One that was killed has left its own.
        path.unlink(missing_ok=True)
        return c.Boot(f"feed-{shard}", self._generation, str(path), address, [], shard=shard)


def _socket(folder: Path, shard: int) -> Path:
    return folder / f"demand-{shard}"


class Shards:
    """The other ``count - 1`` feed processes of a server. `bus` is where they publish."""

    def __init__(
        self,
        reactor: Any,
        count: int,
        *,
        generation: str,
        arguments: Sequence[str],
        environ: Any,
        relay: Callable[[str], None],
    ) -> None:
        self._folder = private_folder("openalgo-ws-feeds-")
        self.bus = f"ipc://{self._folder}/bus"
        self._remote = {
            shard: _ShardDemand(reactor, gateway="server", generation=generation) for shard in range(1, count)
        }
        launch = _Launcher(
            self._folder,
            reactor,
            options=arguments,
            environ=environ,
            generation=generation,
            relay=relay,
        )
        self.supervisor = Supervisor(
            reactor,
            count - 1,
            launch=launch,
            links=_NoLinks(),
            address=lambda name: self.bus,
            began=lambda: None,
            port=0,
            what="feed process",
        )
        clients = [
            LocalDemandClient(reactor, _socket(self._folder, shard), demand)
            for shard, demand in self._remote.items()
        ]
        self.parts: list[Service] = [self.supervisor, *clients]

    def joined(self, own: Demand) -> ShardedDemand:
        """The demand of all shards; ``own`` is that of the first, in this process."""
        others: dict[str, Demand] = {f"feed-{shard}": demand for shard, demand in self._remote.items()}
        return ShardedDemand({"feed-0": own, **others})

    def feeds(self, own: Feeds, meter: Counts, bus: Backlog, due: Callable[[], set[str]]) -> ShardedFeeds:
        """How the feeds are, over all shards; ``own`` and the others are those of this process."""
        return ShardedFeeds(own, self.supervisor.reports, meter=meter, bus=bus, due=due)

    def account_reports(self) -> list[AccountReport]:
        """What the other processes have of the accounts."""
        return [one for report in self.supervisor.reports.latest.values() for one in report.accounts]

    def invalidate(self, user: str) -> None:
        """A user's credentials may have changed."""
        self.supervisor.tell(c.Invalidate(user))

    def close(self) -> None:
        """Close what is no service."""
        shutil.rmtree(self._folder, ignore_errors=True)


class ShardMember(Service):
    """A shard's side of the supervisor's stream: says that it is ready and lives, hears of credentials.

    ``orphaned`` is called when there is no supervisor any more.
    """

    name = "member"

    def __init__(
        self,
        reactor: Any,
        *,
        report: Callable[[], Report],
        invalidate: Callable[[str], object],
        orphaned: Callable[[], None],
    ) -> None:
        self._report = report
        self._invalidate = invalidate
        self._orphaned = orphaned
        self._stream = Stream(reactor, self.received, self.lost)
        self._loop = LoopingCall(self._tell)
        self._loop.clock = reactor

    def startService(self) -> None:
        """Take up the stream."""
        super().startService()  # type: ignore[no-untyped-call]
        self._stream.open()

    def stopService(self) -> None:
        """Let the stream go."""
        super().stopService()  # type: ignore[no-untyped-call]
        if self._loop.running:
            self._loop.stop()

    def ready(self) -> None:
        """Tell that wishes can be taken, and report from now on."""
        self._stream.tell(c.Ready())
        self._loop.start(_REPORT)

    def received(self, data: bytes) -> None:
        """From the stream: a message."""
        message = c.decode_from_supervisor(data)
        if isinstance(message, c.Invalidate):
            self._invalidate(message.user)

    def lost(self) -> None:
        """From the stream: it has ended."""
        if self.running:
            self._orphaned()

    def _tell(self) -> None:
        self._stream.tell(c.Reported(self._report()))
