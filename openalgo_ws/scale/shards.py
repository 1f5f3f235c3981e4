"""Feed shards: several processes that speak to brokers, each for the instruments that it owns.

The server's own process is the first of them, and the one that everybody else knows: it has the public
bus, and the others publish into it. A shard that dies is replaced, and one can be renewed; what is held of it
is asked for anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred

from openalgo_ws.bus.demand import Demand, Denied, Granted, Want
from openalgo_ws.feeds.report import AccountReport
from openalgo_ws.ops.reports import Report
from openalgo_ws.ops.sources import Backlog, Counts, Feeds
from openalgo_ws.scale import control as c
from openalgo_ws.scale.local import LocalDemandClient
from openalgo_ws.scale.private import private_folder
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.sharded import ShardedDemand
from openalgo_ws.scale.sharded_feeds import ShardedFeeds
from openalgo_ws.scale.supervised import Supervised
from openalgo_ws.scale.supervisor import Supervisor
from openalgo_ws.scale.workers import Launcher, Worker

__all__ = ["ShardDemand", "ShardMember", "Shards"]

#: How long the first subscribe waits for a shard that is starting (seconds).
_STARTING = 20.0


class ShardDemand(RemoteDemand):
    """A shard's demand. Who asks while the shard starts for the first time, or is renewed, waits for it."""

    _began = False
    _renewing = False

    def relieved(self) -> Deferred[None]:
        """The shard is about to make room for a new one: fires when that one answers."""
        self._renewing = True

        def renewed(_: None) -> None:
            self._renewing = False

        return self.when_up_again().addCallback(renewed)

    def lost(self) -> None:
        if self._renewing:
            self._began = False
        super().lost()

    def subscribe(self, user: str, wants: Sequence[Want]) -> Deferred[list[Granted | Denied]]:
        if self._began or self.up:
            self._began = True
            return super().subscribe(user, wants)
        up = self.when_up().addTimeout(_STARTING, self._clock, onTimeoutCancel=lambda result, timeout: None)

        def begin(_: None) -> Deferred[list[Granted | Denied]]:
            self._began = True
            return super(ShardDemand, self).subscribe(user, wants)

        return up.addCallback(begin)


class _Sockets:
    """Where shards listen, by the names of their processes; as the supervisor's `Links`: they have no other
    way from the bus, they publish.

    One that is to follow another listens while that one still serves, and is not connected to until it has
    gone: so never do two speak to the brokers in the same place.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.links: dict[str, Any] = {}
        #: Slot → the processes that are there, the oldest first.
        self._names: dict[str, list[str]] = {}

    def address(self, name: str) -> str:
        """Where this process is to listen."""
        return str(self._folder / f"demand-{name}")

    def add(self, name: str, address: str) -> None:
        """A process is about to be started."""
        self._names.setdefault(_slot(name), []).append(name)

    def remove(self, name: str) -> None:
        """A process is gone. One that was killed has left its socket."""
        self._names[_slot(name)].remove(name)
        Path(self.address(name)).unlink(missing_ok=True)

    def serving(self, slot: int) -> Path:
        """Where the process listens that serves now. While there is none, nobody listens there."""
        names = self._names.get(str(slot))
        return Path(self.address(names[0] if names else f"{slot}.0"))


def _slot(name: str) -> str:
    return name.partition(".")[0]


class _Launcher(Launcher):
    def __init__(self, bus: str, shards: int, reactor: Any, **more: Any) -> None:
        super().__init__(reactor, sockets={}, demand="", **more)
        self._bus = bus
        self._shards = shards

    def boot(self, worker: Worker, address: str, listeners: list[c.Listener]) -> c.Boot:
        shard = worker.slot + 1
        return c.Boot(
            f"feed-{shard}", self._generation, address, self._bus, [], shard=shard, shards=self._shards
        )


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
            shard: ShardDemand(reactor, gateway="server", generation=generation) for shard in range(1, count)
        }
        sockets = _Sockets(self._folder)
        launch = _Launcher(
            self.bus,
            count,
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
            links=sockets,
            address=sockets.address,
            began=lambda: None,
            port=0,
            what=("feed process", "feed processes"),
            relieved=lambda slot: self._remote[slot + 1].relieved(),
        )
        clients = [
            LocalDemandClient(reactor, partial(sockets.serving, shard - 1), demand)
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


class ShardMember(Supervised):
    """A shard's side of the supervisor's stream: says that it is ready and lives, hears of credentials.

    ``drain`` is called when the shard is to go, ``orphaned`` when there is no supervisor any more.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        report: Callable[[], Report],
        invalidate: Callable[[str], object],
        drain: Callable[[], None],
        orphaned: Callable[[], None],
    ) -> None:
        super().__init__(reactor, orphaned)
        self._make_report = report
        self._invalidate = invalidate
        self._drain = drain

    def told(self, message: c.FromSupervisor) -> None:
        """The supervisor said something."""
        match message:
            case c.Invalidate():
                self._invalidate(message.user)
            case c.Drain():
                self._drain()

    def make_report(self) -> Report:
        """How this shard is."""
        return self._make_report()
